"""Paths on the command line, which are bytes as the shell gives them, as settings and records spell them."""

from logriver.path_text import spelled, text_of


def followed(given: list[str] | None) -> list[str] | None:
    """What to follow, and directories; None where nothing was given."""
    from logriver.follow.paths import JOURNAL

    return [spelled(text) if text.startswith(JOURNAL) else text_of(text) for text in given or ()] or None
