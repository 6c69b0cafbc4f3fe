"""The fields of a record that `| fields a, b` asks for, under the names that they are asked by."""

from collections.abc import Mapping, Sequence

import msgspec

from logriver.columns import ALIASES, RESERVED, attribute_key, ways

_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def chosen(columns: Mapping[str, object], fields: Mapping[str, msgspec.Raw], names: Sequence[str]) -> dict[str, object]:
    """Those that are there: of the `columns` that an answer has, and of the other fields, which stay as they came."""
    given: dict[str, object] = {}
    for name in names:
        column = ALIASES.get(name, name)
        found = columns.get(column) if column in RESERVED else _field(fields, attribute_key(name))
        if found is not None:
            given[name] = found
    return given


def _field(fields: Mapping[str, msgspec.Raw], key: str) -> msgspec.Raw | None:
    """The first of the `ways` of the name that is there."""
    found = (_at(fields, way) for way in ways(key))
    return next((value for value in found if value is not None), None)


def _at(fields: Mapping[str, msgspec.Raw], way: Sequence[str]) -> msgspec.Raw | None:
    *outer, last = way
    for step in outer:
        inner = fields.get(step)
        if inner is None or not bytes(inner).startswith(b"{"):
            return None
        fields = _decode(inner)
    return fields.get(last)
