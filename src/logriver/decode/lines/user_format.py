"""A format that a user named: a regular expression, the groups of which are the fields of a line.

The pattern is searched for in the line, as other log shippers do; `^` and `$` bind it to its ends. Fields are texts,
with the names, levels and times of JSON records; a group that is empty or was not needed is left out. Without a group
for the message it is the whole line. A line that does not match is read as text, and counted. Of a record of several
lines the first is matched; the others follow in the message.
"""

import re

from logriver.clock import Zone
from logriver.decode.lines.pair_values import Pairs, PairValues
from logriver.decode.lines.text import Values
from logriver.decode.lines.user_pattern import line_pattern
from logriver.decode.lines.whole_lines import Line
from logriver.decode.record_mapping import names_of
from logriver.decode.time.timestamps import Stamps
from logriver.errors import SettingsError

_GROUP_NAME = re.compile(r"\(\?P?<([^>]*)>")
_MESSAGES = frozenset(names_of("message"))


class UserFormat:
    """A named pattern."""

    def __init__(self, name: str, pattern: str) -> None:
        """Raises `SettingsError` for a pattern that cannot be compiled, or that names no field or one twice."""
        compiled = line_pattern(pattern, f"format {name[:60]!r}")
        self._search = compiled.search
        self._groups = sorted((place - 1, group) for group, place in compiled.groupindex.items())
        names = _GROUP_NAME.findall(pattern)
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice:
            raise SettingsError(f"format {name[:60]!r} names {twice[:60]!r} twice")
        if not self._groups:
            raise SettingsError(f"format {name[:60]!r} names no field", hint="(?P<message>.*) is one")

    def pairs(self, line: bytes) -> Pairs | None:
        """The fields of a line; None if it does not match."""
        found = self._search(line)
        if found is None:
            return None
        values = found.groups(b"")
        return {name: values[place].decode("utf-8", "replace") for place, name in self._groups if values[place]}


class UserLines:
    """Reads lines of such a format. `zone` is for times that name none."""

    def __init__(self, format: UserFormat, zone: Zone) -> None:
        self._format = format
        self._pair_values = PairValues(zone)

    def values_of(self, line: Line, stamps: Stamps) -> Values | None:
        """The values of a line's row; None for one that does not match."""
        _, at, text = line
        first, newline, others = text.partition("\n")
        pairs = self._format.pairs(first.encode())
        if pairs is None:
            return None
        if newline:
            _go_on(pairs, newline + others)
        return self._pair_values.of(pairs, text, at, stamps)


def _go_on(pairs: Pairs, others: str) -> None:
    """The message has the other lines of its record too."""
    for name in _MESSAGES & pairs.keys():
        pairs[name] = f"{pairs[name]}{others}"
