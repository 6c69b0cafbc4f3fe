"""A row of the table to the document that a user gets: JSON, with every field as it came.

Columns come first, under their names, empty ones left out; then the other fields at the top level. Their values are
copied as JSON text and never decoded, so numbers, nesting and spelling stay as they were sent.
"""

from collections.abc import Sequence

import msgspec

from logriver import clock
from logriver.query import ids
from logriver.query.match.chosen_fields import chosen
from logriver.record import given_name

COLUMNS = (
    "toUnixTimestamp64Nano(timestamp) AS timestamp_ns",
    "level",
    "message",
    "service",
    "host",
    "trace_id",
    "span_id",
    "_source",
    "toUnixTimestamp64Nano(_received) AS received_ns",
    "_node",
    "_seq",
    "attributes",
)
"""What a SELECT has to give `document`, in this order."""

NAMES = tuple(column.rpartition(" ")[2] for column in COLUMNS)
TIME, NODE, SEQ = (NAMES.index(name) for name in ("timestamp_ns", "_node", "_seq"))
"""Where the keys of a row's place in the order are."""

_TEXTS = ("level", "message", "service", "host", "trace_id", "span_id", "_source")
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encode = msgspec.json.Encoder().encode


def document(row: list[object], names: Sequence[str] = ()) -> bytes:
    """The JSON of one row; of the fields `names` alone, where some are given."""
    time_ns, *texts, received_ns, node, seq, attributes = row
    given: dict[str, object] = {"timestamp": clock.to_text(int(str(time_ns)))}
    given.update((name, text) for name, text in zip(_TEXTS, texts, strict=True) if text)
    given["_received"] = clock.to_text(int(str(received_ns)))
    given["_id"] = ids.encode(str(node), int(str(seq)))
    fields = {} if attributes in ("", "{}") else _fields.decode(str(attributes))
    if names:
        return _encode(chosen(given, fields, names))
    given.update((given_name(name), value) for name, value in fields.items())
    return _encode(given)


def line(row: list[object], names: Sequence[str] = ()) -> bytes:
    """The document in one line: values that came with line ends between their parts lose them."""
    text = document(row, names)
    # In JSON they stand nowhere else: inside of a string they are escaped.
    return text.replace(b"\n", b" ").replace(b"\r", b" ") if b"\n" in text or b"\r" in text else text
