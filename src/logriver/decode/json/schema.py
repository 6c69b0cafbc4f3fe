"""A schema: the field names that JSON records had so far, as a generated decoder for whole slices of lines.

One msgspec call decodes a slice into objects with an attribute for each column (under the first of its aliases that
was seen) and one for each other field, kept as raw bytes. Taking a column's values out of the objects leaves exactly
the attributes, which one more call writes as JSON.
"""

import re
from itertools import islice
from operator import attrgetter
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from logriver.columns import ALIASES, COLUMNS, DECODED_COLUMNS
from logriver.decode.json.document import fields_of
from logriver.decode.record_mapping import NUMBERS_TOO, OUTER

_MAX_FIELDS = 200
_SAMPLE_LINES = 100
_TEXT = str | None | UnsetType
_ALIASES = {column.name: column.aliases for column in COLUMNS if column.aliases}
_TYPES: dict[str, Any] = dict.fromkeys(_ALIASES, _TEXT)
_TYPES["timestamp"] = str | int | float | None | UnsetType
_TYPES["level"] = str | int | None | UnsetType
# Names that msgspec does not take; records with one have no schema.
_ODD_NAME = re.compile(r'[\\"\x00-\x1f]')
_STRINGS_ONLY = {str}
_VALUES = {str, int, float}

_encode = msgspec.json.Encoder().encode
_encode_lines = msgspec.json.Encoder().encode_lines
_get_columns = attrgetter(*_TYPES)
assert [*_TYPES, "attributes", "_level", "_offset"] == [column.name for column in DECODED_COLUMNS]


class Schema:
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
                found.update((name, None) for name in fields_of(line) if not _ODD_NAME.search(name))
            except ValueError:
                continue
        names = self._names | found
        self._names = names if len(names) <= _MAX_FIELDS else found
        if len(self._names) <= _MAX_FIELDS:
            self._make()

    def _make(self) -> None:
        chosen: dict[str, str] = {}
        for name in _TYPES:
            aliases = _ALIASES[name]
            chosen[next((alias for alias in aliases if alias in self._names), aliases[0])] = name
        others = [name for name in self._names if name not in chosen]
        # Where other names may bring a column too, a record that lacks the first needs the long way.
        self._plain = not any(name in ALIASES or name in OUTER for name in others)
        self._columns = tuple(name for alias, name in chosen.items() if alias in self._names)
        # In the order seen: msgspec looks for a key first behind the one before.
        order = [name for name in self._names if name in chosen or not self._hides_column(name)]
        order += [name for name in chosen if name not in self._names]
        attribute = {name: chosen.get(name, f"other_{number}") for number, name in enumerate(order)}
        struct = msgspec.defstruct(
            "Record",
            [(own, _TYPES.get(own, msgspec.Raw), UNSET) for own in attribute.values()],
            rename={own: name for name, own in attribute.items()},
            forbid_unknown_fields=True,
            gc=False,
        )
        self.decode = msgspec.json.Decoder(struct).decode_lines
        self._alone = _STRINGS_ONLY | {UnsetType} if self._plain else _STRINGS_ONLY

    def _hides_column(self, name: str) -> bool:
        """Whether the value of a column that no name brings may be nested under this one: that is the long way."""
        nested = (alias for alias in ALIASES if alias.startswith(f"{name}."))
        return any(ALIASES[alias] not in self._columns for alias in nested)

    def take_alone(self, record: bytes) -> list[str] | None:
        """One record as the values of a row, `level` and `timestamp` as they were sent.

        None if it has not the schema, a null or a number in a column, or may have a value elsewhere.
        """
        if self.decode is None:
            return None
        try:
            (r,) = self.decode(record)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
            return None
        found = _get_columns(r)
        if not self._alone.issuperset(map(type, found)):
            return None
        r.timestamp = r.level = r.message = r.service = r.host = r.trace_id = r.span_id = UNSET
        values = ["" if value is UNSET else value for value in found]
        # The places of attributes, `_level` and `_offset` come behind those of the columns.
        return [*values, _encode(r).decode(), "", "0"]

    def take(self, records: list[Any]) -> dict[str, list[Any]] | None:
        """Take the columns' values out of the records: None where a record has none, for texts "".

        A null stays an attribute. The whole is None where a record may have its value elsewhere.
        """
        taken: dict[str, list[Any]] = {}
        nulls: list[tuple[Any, str]] = []
        for column in _TYPES:
            values = list(map(attrgetter(column), records))
            if values[0] is UNSET and self._plain and values.count(UNSET) == len(values):
                continue
            kinds = set(map(type, values))
            if kinds != _STRINGS_ONLY and not _VALUES.issuperset(kinds):
                if not self._plain:
                    return None
                nulls += [(record, column) for record, value in zip(records, values, strict=True) if value is None]
                nothing = None if column in NUMBERS_TOO else ""
                values = [nothing if value is UNSET or value is None else value for value in values]
            taken[column] = values
        for r in records:
            r.timestamp = r.level = r.message = r.service = r.host = r.trace_id = r.span_id = UNSET
        for record, column in nulls:
            setattr(record, column, None)
        return taken

    def left(self, records: list[Any]) -> list[str]:
        """The JSON text of what each record has left after its columns were taken."""
        lines: list[str] = _encode_lines(records).decode().split("\n")
        lines.pop()
        return lines
