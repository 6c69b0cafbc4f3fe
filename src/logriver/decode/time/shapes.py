"""The shapes in which log lines begin with a time, and what else such a beginning says about the line.

They are those of `decode/tables/times.toml`, which says what its fields mean; here they are made ready for Python's
`re`. What the table asks of a match afterwards, which text may come next and which is no host, is a part of the pattern
here, as look-around: it is one look at the line then.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from logriver.decode.tables.read import table

_TIMES = table("times")
MONTHS = {
    name: number
    for number, name in enumerate("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)  # noqa: SIM905
}


class Stamp(NamedTuple):
    """What the beginning of a line says; parts that its shape does not have are empty.

    `minute` is the time up to there, `ending` what completes it (zone, year, half of the day, milliseconds), `level` a
    mark that stands where only this shape has it, `extra` the rest of an RFC 5424 header.
    """

    minute: str
    second: str
    fraction: str
    ending: str
    host: str
    service: str
    level: str
    extra: str


_DIRECTIVES: dict[str, str] = _TIMES.data["directives"]
_DIRECTIVE = re.compile("%[A-Za-z]")
_NAME = re.compile(r"\?P<\w+>")
_LEVEL_WORD = _TIMES.pattern("{level_word}")


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """One way to begin a line: `pattern` recognises it, `parts` picks a `Stamp` of its groups, `minute` reads one."""

    pattern: re.Pattern[str]
    parts: Callable[[tuple[str, ...]], tuple[str, ...]]
    minute: re.Pattern[str]
    begins: re.Pattern[str]

    @property
    def nameless(self) -> str:
        """The pattern without its groups."""
        return _NAME.sub("?:", self.pattern.pattern).removesuffix("()")


def written_shape(entry: dict[str, Any], *, backtracking: bool = False) -> str:
    """The pattern of an entry of the table; see `Table.pattern`."""
    recognising = _NAME.sub("?:", minute_pattern(entry))
    text = f"{entry.get('before', '')}(?P<minute>{recognising}){entry.get('after', '')}"
    return _TIMES.pattern(text, backtracking=backtracking)


def minute_pattern(entry: dict[str, Any]) -> str:
    """The pattern that reads the time up to its minute, its groups called as in the directives."""
    return _DIRECTIVE.sub(lambda found: _DIRECTIVES[found[0]], entry["minute"])


def _shape(entry: dict[str, Any]) -> Shape:
    recognising = written_shape(entry, backtracking=True)
    if "level_as_host" in entry:
        recognising = recognising.replace("(?P<host>", f"(?!{_LEVEL_WORD})(?P<host>")
    if "next" in entry:
        recognising = f"(?>{recognising})(?={entry['next']})"
    # The last group is empty: the part of a stamp that the shape does not have.
    pattern = re.compile(f"{recognising}()", re.ASCII)
    places = [pattern.groupindex.get(name, pattern.groups) - 1 for name in Stamp._fields]
    begins = re.compile(f"[{entry.get('begins', '')}]")
    return Shape(pattern, itemgetter(*places), re.compile(minute_pattern(entry), re.ASCII), begins)


ACCESS_LOG = _shape({"begins": r"\[", **_TIMES.data["access"]})
"""The time as access logs have it, wherever it stands."""


Family = tuple[Shape, ...]
"""Shapes of which a line may have several: the first that fits is taken."""


def _families() -> list[Family]:
    numbered = [(entry.get("family", place), entry) for place, entry in enumerate(_TIMES.data["shapes"])]
    return [tuple(_shape(entry) for _, entry in group) for _, group in groupby(numbered, lambda pair: pair[0])]


def _by_first_character() -> dict[str, tuple[Family, ...]]:
    families = _families()
    found = {
        first: tuple(family for family in families if any(shape.begins.match(first) for shape in family))
        for first in map(chr, range(128))
    }
    return {first: families for first, families in found.items() if families}


SHAPES = _by_first_character()
"""The families of shapes that a line with that first character can have."""
