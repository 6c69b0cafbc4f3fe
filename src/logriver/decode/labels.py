"""Labels: constant fields for all records of a source, on rows as the decoders write them.

On the batch: a block of rows is cut at its tabs once, and each label becomes one insertion into the JSON text of the
attributes. Only where the name of a label stands in a block are its records looked at one by one.
"""

import copy
import re
from collections.abc import Mapping

import msgspec

from logriver.columns import ALIASES, DECODED_COLUMNS
from logriver.decode.json.document import fields_of
from logriver.decode.record_mapping import PLACES
from logriver.decode.row_builder import escape
from logriver.errors import SettingsError
from logriver.record import Decoded

# The last value of a row and the first of the next are one piece between two tabs.
_TABS = len(DECODED_COLUMNS) - 1
_ATTRIBUTES = PLACES["attributes"]
_COLUMNS = ("service", "host")
_ESCAPED = re.compile(rb"\\(.)")
_ESCAPES = {b"t": b"\t", b"n": b"\n"}

_to_json = msgspec.json.Encoder().encode


class Labels:
    """What a record gets that does not have it: `service` and `host` under any of their names, else an attribute."""

    def __init__(self, given: Mapping[str, object]) -> None:
        """Raises `SettingsError` for a name that every record has its own value for."""
        self._columns: dict[int, bytes] = {}
        # By name: the JSON text of the name and of the whole pair, as they stand in a row.
        self._attributes: dict[str, tuple[bytes, bytes]] = {}
        for name, value in given.items():
            column = ALIASES.get(name)
            if column in _COLUMNS:
                self._columns[PLACES[column]] = escape(str(value)).encode()
            elif column:
                raise SettingsError(f"{name[:60]!r} cannot be a label", hint="each record has its own")
            else:
                key = _in_row(name)
                self._attributes[name] = key, key + b":" + _in_row(value)
        self._keys = [key for key, _ in self._attributes.values()]
        self._all = b",".join(pair for _, pair in self._attributes.values())

    def __bool__(self) -> bool:
        return bool(self._columns or self._attributes)

    def or_host(self, host: str) -> "Labels":
        """These, and `host` where they say none."""
        labels = copy.copy(self)
        labels._columns = {PLACES["host"]: escape(host).encode(), **self._columns}
        return labels

    def add(self, decoded: Decoded) -> None:
        """Put them into the rows of a decoded chunk."""
        if self and decoded.rows:
            decoded.rows = self._labelled(decoded.rows)

    def _labelled(self, block: bytes) -> bytes:
        parts = block.split(b"\t")
        for place, label in self._columns.items():
            parts[place::_TABS] = [value or label for value in parts[place::_TABS]]
        if self._attributes:
            objects = parts[_ATTRIBUTES::_TABS]
            # Most blocks have none of the names, and their records need not be asked.
            asked = any(key in block for key in self._keys)
            inserts = [self._missing(attributes) for attributes in objects] if asked else [self._all] * len(objects)
            parts[_ATTRIBUTES::_TABS] = list(map(_joined, inserts, objects))
        return b"\t".join(parts)

    def _missing(self, attributes: bytes) -> bytes:
        """The labels that a record does not have at its top level."""
        if not any(key in attributes for key in self._keys):
            return self._all
        own = fields_of(_ESCAPED.sub(lambda escape: _ESCAPES.get(escape[1], escape[1]), attributes))
        return b",".join(pair for name, (_, pair) in self._attributes.items() if name not in own)


def _joined(insert: bytes, attributes: bytes) -> bytes:
    if not insert:
        return attributes
    return b"{" + insert + (b"}" if attributes == b"{}" else b"," + attributes[1:])


def _in_row(value: object) -> bytes:
    """The JSON text of a name or a value, as it stands in a row."""
    return escape(_to_json(value).decode()).encode()
