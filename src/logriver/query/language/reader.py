"""The place in a search text, and what conditions and pipes both read there."""

import re

from lark import Token

from logriver.columns import MAX_NAME_LENGTH
from logriver.errors import BadQuery
from logriver.query.pipes.registry import PIPES

NAME = r"(?:(?P<plain>[A-Za-z_@][\w.@]*)|`(?P<odd>(?:[^`]|``)+)`)"
"""A field's name: plain, or anything in backticks (a backtick in it is doubled)."""
PIPE = re.compile(rf"\|\s*(?P<pipe>{'|'.join(PIPES)})(?=[\s|]|\Z)")
"""What begins a pipe; any other `|` in conditions is text."""

_SPACES = re.compile(r"\s*")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPED = re.compile(r'\\(["\\])')


class Reader:
    """`at` is the next character of `text` that nobody has read."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    @property
    def at_end(self) -> bool:
        """Nothing is left."""
        return self.at == len(self.text)

    @property
    def sign(self) -> str:
        """The next character, empty at the end."""
        return self.text[self.at : self.at + 1]

    def skip_blanks(self) -> None:
        """To the next character that is not a space."""
        self.take(_SPACES)

    def sees(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """What `pattern` matches here, not read yet."""
        return pattern.match(self.text, self.at)

    def take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """What `pattern` matches here; it is read."""
        found = self.sees(pattern)
        if found:
            self.at = found.end()
        return found

    def quoted(self) -> str:
        """The text in the quotes that begin here. Raises `BadQuery` where they do not end."""
        found = self.take(_QUOTED)
        if not found:
            raise BadQuery("the quote is not closed", position=self.at, hint="add a '\"' at the end")
        return _ESCAPED.sub(r"\1", found[1])

    def token(self, kind: str, value: object, start: int) -> Token:
        """A token that was read from `start` to here."""
        return Token(kind, value, start_pos=start, end_pos=self.at)


def name_of(found: re.Match[str]) -> str:
    """The name in a match of a pattern with `NAME` in it. Raises `BadQuery` for one that is too long."""
    name = found["plain"] or found["odd"].replace("``", "`")
    if len(name) > MAX_NAME_LENGTH:
        raise BadQuery(f"a field's name has at most {MAX_NAME_LENGTH} characters", position=found.start())
    return name
