"""The pipes of a search text, by name: they decide what a command asks for. The parser is the server's."""

import re
from functools import cache

QUOTED = r'"(?:[^"\\]|\\.)*"'
BACKTICKED = r"`(?:[^`]|``)*`"


def pipes_of(text: str) -> list[str]:
    """Their names in order."""
    # Most texts have none, and need not wait for the pipes to be loaded.
    return [found["name"] for found in _pipe().finditer(text) if found["name"]] if "|" in text else []


def conditions_of(text: str) -> str:
    """What stands before the first pipe."""
    if "|" not in text:
        return text
    return next((text[: found.start()] for found in _pipe().finditer(text) if found["name"]), text)


def make_table(pipes: list[str]) -> list[str]:
    """Those of `pipes` that make a table of records."""
    if not pipes:
        return []
    from logriver.query.pipes.registry import PIPES

    return [name for name in pipes if PIPES[name].makes_table]


@cache
def _pipe() -> re.Pattern[str]:
    from logriver.query.pipes.registry import PIPES

    return re.compile(rf"{QUOTED}|{BACKTICKED}|\|\s*(?P<name>{'|'.join(PIPES)})(?=[\s|]|\Z)", re.DOTALL)
