"""The pipes of a search text, by name: they decide what a command asks for. The parser is the server's."""

import re

from logriver.query.language.tree import PIPE_NAMES

QUOTED = r'"(?:[^"\\]|\\.)*"'
BACKTICKED = r"`(?:[^`]|``)*`"
_PIPE = re.compile(rf"{QUOTED}|{BACKTICKED}|\|\s*(?P<name>{'|'.join(PIPE_NAMES)})(?=[\s|]|\Z)", re.DOTALL)


def pipes_of(text: str) -> list[str]:
    """Their names in order."""
    return [found["name"] for found in _PIPE.finditer(text) if found["name"]]


def conditions_of(text: str) -> str:
    """What stands before the first pipe."""
    return next((text[: found.start()] for found in _PIPE.finditer(text) if found["name"]), text)
