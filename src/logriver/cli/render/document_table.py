"""Documents of a search as a table: the columns of the server's own export, for what a command puts together itself."""

from collections.abc import Iterable, Sequence

import msgspec

from logriver.cli.render.table import Table
from logriver.columns import RESERVED

_COLUMNS = ("timestamp", "level", "message", "service", "host", "trace_id", "span_id")
_ATTRIBUTES = "attributes"
_OWN_COLUMNS = ("_source", "_received", "_id", "_host")
# What `record.given_name` puts before a field that has the name of a column.
_BEFORE_RESERVED = "attributes."

_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def table_of(documents: Iterable[bytes], chosen: Sequence[str]) -> Table:
    """The `chosen` fields, else all columns, with the other fields as JSON; then the machine that has the file."""
    if chosen:
        columns = [*chosen, "_host"]
        return Table(columns, [_values(_decode(document), columns) for document in documents])
    return Table([*_COLUMNS, _ATTRIBUTES, *_OWN_COLUMNS], [_row(_decode(document)) for document in documents])


def _row(document: dict[str, msgspec.Raw]) -> list[object]:
    others = {_own_name(name): value for name, value in document.items() if name not in _COLUMNS + _OWN_COLUMNS}
    attributes = msgspec.json.encode(others).decode()
    return [*_values(document, _COLUMNS), attributes, *_values(document, _OWN_COLUMNS)]


def _values(document: dict[str, msgspec.Raw], names: Sequence[str]) -> list[object]:
    return [msgspec.json.decode(document[name]) if name in document else None for name in names]


def _own_name(name: str) -> str:
    own = name.removeprefix(_BEFORE_RESERVED)
    return own if own in RESERVED else name
