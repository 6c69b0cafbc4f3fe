"""Request lines of an API's customers: `2024-09-14 16:15:35 cust_5 /api/v1/resource4 200 0.772`.

Six tokens: date, time (UTC), customer, path, status, latency in seconds; what follows is ignored. The message is the
line. A line that is not so is refused with the reason.
"""

import math
from functools import lru_cache

import msgspec

from logriver import clock
from logriver.decode.lines.whole_lines import raw_line, split
from logriver.decode.row_builder import encode, row
from logriver.decode.tables.read import table
from logriver.record import Decoded, Refused

_TOKENS = 6
_FORMATS = table("formats")
_DAY = _FORMATS.compiled("api_day")
_TIME = _FORMATS.compiled("api_time")
_STATUS = _FORMATS.compiled("api_status")
_LATENCY = _FORMATS.compiled("api_latency")
_JSON_NUMBER = _FORMATS.compiled("json_number")
_LONGEST_KEPT_NUMBER = 32
_SHOWN = 60

_to_json = msgspec.json.Encoder().encode


class ApiRequests:
    """The decoder of such files."""

    def __init__(self, max_record_bytes: int) -> None:
        self._max_record_bytes = max_record_bytes

    def decode(self, chunk: bytes, offset: int) -> Decoded:
        """Rows of whole lines that begin at byte `offset` of their file, and the lines that are refused."""
        lines, refused = split(chunk, offset, self._max_record_bytes)
        rows: list[str] = []
        for number, at, text in lines:
            try:
                rows.append(_row(text, at))
            except ValueError as error:
                refused.append(Refused(number, str(error), raw_line(chunk, at - offset), at))
        refused.sort(key=lambda refusal: refusal.line)
        return Decoded(encode(rows) if rows else b"", len(rows), refused)


def is_api_request(text: str) -> bool:
    """Whether `text` is such a line."""
    try:
        _row(text, 0)
    except ValueError:
        return False
    return True


def _row(line: str, offset: int) -> str:
    tokens = line.split(None, _TOKENS)
    if len(tokens) < _TOKENS:
        raise ValueError(f"expected {_TOKENS} tokens, got {len(tokens)}")
    day, time, customer, path, status, latency = tokens[:_TOKENS]
    time_ns = clock.check_range(_day_ns(day) + _time_ns(time))
    if not _STATUS.fullmatch(status):
        raise ValueError(f"not a status from 100 to 599: {status[:_SHOWN]!r}")
    names = (_to_json(customer) + b',"path":' + _to_json(path)).decode()
    attributes = f'{{"customer":{names},"status":{status},"latency_seconds":{_latency(latency)}}}'
    return row(time_ns, "", line, attributes=attributes, offset=offset)


@lru_cache(4096)
def _day_ns(text: str) -> int:
    if not _DAY.fullmatch(text):
        raise ValueError(f"not a date: {text[:_SHOWN]!r}")
    try:
        return clock.days_ns(*map(int, text.split("-")))
    except ValueError:
        raise ValueError(f"no such day: {text!r}") from None


@lru_cache(4096)
def _time_ns(text: str) -> int:
    if not _TIME.fullmatch(text):
        raise ValueError(f"not a time of day: {text[:_SHOWN]!r}")
    return clock.clock_seconds(*map(int, text.split(":"))) * clock.SECOND_NS


def _latency(text: str) -> str:
    """The number as JSON, in its own spelling where JSON has it too."""
    if not _LATENCY.fullmatch(text) or not math.isfinite(float(text)):
        raise ValueError(f"not a latency in seconds: {text[:_SHOWN]!r}")
    if len(text) <= _LONGEST_KEPT_NUMBER and _JSON_NUMBER.fullmatch(text):
        return text
    return repr(float(text))
