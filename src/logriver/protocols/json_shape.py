"""A shape: the field names that JSON records had so far, as a generated decoder for whole slices of lines.

One msgspec call decodes a slice into objects with an attribute for each column (under the first of its aliases that
was seen) and one for each other field, kept as raw bytes. Taking a column's values out of the objects leaves exactly
the attributes, which one more call writes as JSON.
"""

from collections import deque
from itertools import islice, repeat
from operator import attrgetter
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from logriver.columns import ALIASES, COLUMNS
from logriver.protocols.document import fields_of

_MAX_FIELDS = 200
_SAMPLE_LINES = 100
_NESTED = {alias.partition(".")[0] for alias in ALIASES if "." in alias}
_TEXT = str | None | UnsetType
_TYPES: dict[str, Any] = {column.name: _TEXT for column in COLUMNS if column.aliases}
_TYPES["timestamp"] = str | int | float | None | UnsetType
_TYPES["level"] = str | int | None | UnsetType
_STRINGS_ONLY = {str}
_VALUES = {str, int, float}

_encode_lines = msgspec.json.Encoder().encode_lines


class Shape:
    """Knows the names of `learn`'s lines; `decode` is None until then."""

    def __init__(self) -> None:
        self.decode: Any = None
        self._columns: tuple[str, ...] = ()
        self._names: dict[str, None] = {}
        self._plain = True

    def learn(self, lines: list[bytes]) -> None:
        """Add the names of some records and make the decoder anew. Over 200 names, begin again with these."""
        found: dict[str, None] = {}
        for line in islice(lines, _SAMPLE_LINES):
            try:
                found.update(dict.fromkeys(fields_of(line)))
            except ValueError:
                continue
        names = self._names | found
        self._names = names if len(names) <= _MAX_FIELDS else found
        if len(self._names) <= _MAX_FIELDS:
            self._make()

    def _make(self) -> None:
        chosen: dict[str, str] = {}
        for column in COLUMNS:
            alias = next((alias for alias in column.aliases if alias in self._names), None)
            if alias is not None:
                chosen[alias] = column.name
        others = [name for name in self._names if name not in chosen]
        # Where other names may bring a column too, a record that lacks the first needs the long way.
        self._plain = not any(name in ALIASES or name in _NESTED for name in others)
        attribute = {name: chosen.get(name, f"other_{number}") for number, name in enumerate(self._names)}
        struct = msgspec.defstruct(
            "Record",
            [(own, _TYPES.get(own, msgspec.Raw), UNSET) for own in attribute.values()],
            rename={own: name for name, own in attribute.items()},
            forbid_unknown_fields=True,
            gc=False,
        )
        self._columns = tuple(chosen.values())
        self.decode = msgspec.json.Decoder(struct).decode_lines

    def take(self, records: list[Any]) -> dict[str, list[Any]] | None:
        """Take the columns' values out of the records: None where a record has none. A null stays an attribute.

        The whole is None where a record may have its value elsewhere.
        """
        taken: dict[str, list[Any]] = {}
        for column in self._columns:
            values = list(map(attrgetter(column), records))
            nulls: list[Any] = []
            kinds = set(map(type, values))
            if kinds != _STRINGS_ONLY and not _VALUES.issuperset(kinds):
                if not self._plain:
                    return None
                nulls = [record for record, value in zip(records, values, strict=True) if value is None]
                values = [None if value is UNSET else value for value in values]
            _run(map(setattr, records, repeat(column), repeat(UNSET)))
            _run(map(setattr, nulls, repeat(column), repeat(None)))
            taken[column] = values
        return taken

    def left(self, records: list[Any]) -> list[str]:
        """The JSON text of what each record has left after its columns were taken."""
        lines: list[str] = _encode_lines(records).decode().split("\n")
        lines.pop()
        return lines


def _run(calls: Any) -> None:
    """Make the calls of a map for what they do: the fastest loop there is."""
    deque(calls, maxlen=0)
