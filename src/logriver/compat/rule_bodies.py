"""The bodies in which two earlier systems wrote rules: a page of the log ingestor, filters of LogIngestor."""

from typing import Annotated, Any

import msgspec

from logriver.compat import rules
from logriver.compat.record_search import MAX_RESULTS
from logriver.compat.rules import RuleFilter
from logriver.errors import BadRequest

_Scalar = str | int | float | bool
_Size = Annotated[int, msgspec.Meta(ge=0, le=MAX_RESULTS)]


class _Rule(msgspec.Struct):
    """A rule of the log ingestor."""

    field: str
    value: _Scalar


class _Page(msgspec.Struct):
    """The body of `/fetch_logs`."""

    rules: list[_Rule] = msgspec.field(default_factory=list)
    page: Any = 1


class _Bounds(msgspec.Struct, forbid_unknown_fields=True):
    """The value of a range, either end of which may be missing."""

    lower_range: str | int | float | None = None
    upper_range: str | int | float | None = None


class _Filter(msgspec.Struct):
    """A filter of LogIngestor."""

    key: str
    operation: str
    value: _Scalar | _Bounds
    size: _Size = MAX_RESULTS


class _Filters(msgspec.Struct):
    """Several filters, of which a record has to pass all."""

    filters: list[_Filter]
    size: _Size = MAX_RESULTS


_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_decode_page = msgspec.json.Decoder(_Page).decode
_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_filter = msgspec.json.Decoder(_Filter).decode
_decode_filters = msgspec.json.Decoder(_Filters).decode
_decode_list = msgspec.json.Decoder(list[_Filter]).decode


def page_of(body: bytes) -> tuple[RuleFilter, int]:
    """What a body of `/fetch_logs` asks for, and which page. Raises `BadRequest`."""
    try:
        asked = _decode_page(body)
    except _UNREADABLE as error:
        raise BadRequest(f"the body is not an object of rules: {_reason(error)}") from None
    if type(asked.page) is not int or asked.page < 1:
        raise BadRequest("page value is not valid")
    return rules.all_of([_rule(rule.field, _text(rule.value)) for rule in asked.rules]), asked.page


def _rule(field: str, value: str) -> RuleFilter:
    if field != "timestamp":
        return rules.equals(field, value)
    ends = value.split(",")
    if len(ends) != 2:
        raise BadRequest(f"a timestamp rule is 'start,end', not {value[:60]!r}")
    return rules.between(field, *ends)


def filtered(body: bytes) -> tuple[RuleFilter, int]:
    """What a body of `/logs/filter/` asks for, and how many records at most. Raises `BadRequest`."""
    try:
        asked = _filters(body)
    except _UNREADABLE as error:
        raise BadRequest(f"the body is not a filter or a list of filters: {_reason(error)}") from None
    size = min([asked.size, *(one.size for one in asked.filters)])
    return rules.all_of([_filter(one) for one in asked.filters]), size


def _filters(body: bytes) -> _Filters:
    body = body.strip()
    if body.startswith(b"["):
        return _Filters(_decode_list(body))
    if "filters" in _decode_object(body):
        return _decode_filters(body)
    return _Filters([_decode_filter(body)])


def _filter(one: _Filter) -> RuleFilter:
    if one.operation not in ("equals", "contains", "range"):
        raise BadRequest(f"unknown operation {one.operation[:60]!r}, known are equals, contains and range")
    if isinstance(one.value, _Bounds) != (one.operation == "range"):
        raise BadRequest("a range has an object of lower_range and upper_range as its value, the others have a text")
    if isinstance(one.value, _Bounds):
        low, high = one.value.lower_range, one.value.upper_range
        return rules.between(one.key, "" if low is None else _text(low), "" if high is None else _text(high))
    find = rules.equals if one.operation == "equals" else rules.contains
    return find(one.key, _text(one.value))


def _text(value: _Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _reason(error: Exception) -> str:
    text = str(error).removeprefix("JSON is malformed: ")
    return text[:1].lower() + text[1:]
