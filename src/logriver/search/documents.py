"""A row of the table to the document that a user gets: JSON, with every field as it came.

Columns come first, under their names, empty ones left out; then the other fields at the top level. Their values are
copied as JSON text and never decoded, so numbers, nesting and spelling stay as they were sent.
"""

import msgspec

from logriver import clock
from logriver.query import ids
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

TIME, NODE, SEQ = 0, 9, 10
"""Where the keys of a row's place in the order are."""

_TEXTS = ("level", "message", "service", "host", "trace_id", "span_id", "_source")
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encode = msgspec.json.Encoder().encode


def document(row: list[object]) -> bytes:
    """The JSON of one row."""
    time_ns, *texts, received_ns, node, seq, attributes = row
    given: dict[str, object] = {"timestamp": clock.to_text(int(str(time_ns)))}
    given.update((name, text) for name, text in zip(_TEXTS, texts, strict=True) if text)
    given["_received"] = clock.to_text(int(str(received_ns)))
    given["_id"] = ids.encode(str(node), int(str(seq)))
    if attributes not in ("", "{}"):
        fields = _fields.decode(str(attributes))
        given.update((given_name(name), value) for name, value in fields.items())
    return _encode(given)
