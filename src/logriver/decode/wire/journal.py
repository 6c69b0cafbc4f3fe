"""Entries of systemd's journal, as `journalctl --output=json` writes them (systemd.journal-fields(7)), to rows.

`MESSAGE` is the message, `PRIORITY` the level, `_SYSTEMD_UNIT` or else `SYSLOG_IDENTIFIER` the service, `_HOSTNAME` the
host. Every other field stays, but for those that begin with two underscores, which are the journal's own. A value that
is not UTF-8 comes as a list of its bytes, one that is there several times as a list of values.
"""

import re

import msgspec

from logriver import clock
from logriver.decode.lines.levels import SYSLOG_WORDS
from logriver.decode.lines.whole_lines import MAX_REFUSED_BYTES, too_long
from logriver.decode.row_builder import encode, row
from logriver.levels import SYSLOG_LEVELS
from logriver.record import Decoded, Refused

Value = str | list[int | str | list[int] | None] | None
_CURSOR = re.compile(rb'"__CURSOR" ?: ?"([^"\\]{1,256})"')

_entry = msgspec.json.Decoder(dict[str, Value]).decode
_to_json = msgspec.json.Encoder().encode


def cursor_of(line: bytes) -> bytes:
    """The cursor of an entry, by which the journal finds it again. Raises `ValueError` if it has none."""
    found = _CURSOR.search(line)
    if not found:
        raise ValueError(f"an entry of the journal has no cursor: {line[:60]!r}")
    return found[1]


def decode(data: bytes, number: int, now_ns: int, max_record_bytes: int) -> Decoded:
    """Rows of entries, a line each, the first with that `number`; what is none, or is too long, is refused."""
    lines = data.removesuffix(b"\n").split(b"\n") if data else []
    rows: list[str] = []
    refused: list[Refused] = []
    for place, line in enumerate(lines):
        at, beginning = number + place, line[:MAX_REFUSED_BYTES]
        if len(line) > max_record_bytes:
            refused.append(too_long(place + 1, at, len(line), max_record_bytes, beginning))
            continue
        try:
            rows.append(_row(_entry(line), at, now_ns))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            refused.append(Refused(place + 1, f"no entry of a journal: {error}", beginning, at))
    return Decoded(encode(rows) if rows else b"", len(rows), refused)


def _row(entry: dict[str, Value], number: int, now_ns: int) -> str:
    fields = {name: _text(value) for name, value in entry.items() if value is not None}
    own = {name: fields.pop(name) for name in list(fields) if name.startswith("__")}
    level, sent_level = _level(fields)
    unit = "_SYSTEMD_UNIT" if isinstance(fields.get("_SYSTEMD_UNIT"), str) else "SYSLOG_IDENTIFIER"
    return row(
        _time_ns(own, now_ns),
        level,
        _taken(fields, "MESSAGE"),
        service=_taken(fields, unit),
        host=_taken(fields, "_HOSTNAME"),
        attributes=_to_json(fields).decode(),
        sent_level=sent_level,
        offset=number,
    )


def _text(value: Value) -> str | list[str]:
    """A value as text, of several values each."""
    if value is None or isinstance(value, str):
        return value or ""
    if all(isinstance(one, int) for one in value):
        return _of_bytes([one for one in value if isinstance(one, int)])
    return [_of_bytes(one) if isinstance(one, list) else str(one or "") for one in value]


def _of_bytes(numbers: list[int]) -> str:
    return bytes(number & 255 for number in numbers).decode("utf-8", "replace")


def _taken(fields: dict[str, str | list[str]], name: str) -> str:
    """The value of a field that becomes a column; one with several values stays."""
    value = fields.get(name, "")
    if not isinstance(value, str):
        return ""
    fields.pop(name, None)
    return value


def _level(fields: dict[str, str | list[str]]) -> tuple[str, str]:
    """What the priority means, and its name in syslog where that is another."""
    priority = fields.get("PRIORITY")
    if not isinstance(priority, str) or priority not in "01234567" or len(priority) != 1:
        return "", ""
    del fields["PRIORITY"]
    level, word = SYSLOG_LEVELS[int(priority)], SYSLOG_WORDS[int(priority)]
    return level, "" if word == level else word


def _time_ns(own: dict[str, str | list[str]], now_ns: int) -> int:
    """When the journal got it, in microseconds since 1970."""
    try:
        return clock.check_range(int(str(own.get("__REALTIME_TIMESTAMP"))) * 1000)
    except ValueError:
        return now_ns
