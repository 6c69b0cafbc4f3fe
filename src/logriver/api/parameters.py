"""The parameters of a call that can be asked by GET and by POST: from the address, a JSON object or a form."""

import difflib
import re
from collections.abc import Iterable
from urllib.parse import parse_qsl

import msgspec
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.requests import HTTPConnection, Request

from logriver import clock
from logriver.errors import BadRequest, TooLarge
from logriver.search import time_range
from logriver.search.time_range import TimeRange

MAX_BODY_BYTES = 100_000


class _AnyName(StringConvertor):
    regex = r"[\s\S]+"


register_url_convertor("field", _AnyName())
FIELD = "{name:field}"
"""The name of a field in an address, which may hold any character, slashes and ends of lines too."""

# What `text_of` and `times_of` know by two names.
_ALSO = {"q": "query", "from": "start", "to": "end"}
# The earlier systems passed over what they did not know.
_STRICT = "/api/v1/"

_decode = msgspec.json.Decoder(dict[str, str | int | float | bool | None]).decode


async def read(request: Request) -> dict[str, str]:
    """All parameters as text; the body's win over the address's. Raises `BadRequest`, `TooLarge`."""
    given = dict(request.query_params)
    if request.method == "POST":
        given |= await body(request)
        _check_names(request, given)
    return given


async def no_unknown(request: HTTPConnection) -> None:
    """Every call depends on it: a mistyped parameter would be passed over, and the answer be another than was asked.

    Raises `BadRequest`. The agents' channel, which has no parameters, is let through.
    """
    if request.scope["type"] == "http" and request.url.path.startswith(_STRICT):
        _check_names(request, request.query_params)


def _check_names(request: HTTPConnection, given: Iterable[str]) -> None:
    route = request.scope["route"]
    body = (route.openapi_extra or {}).get("requestBody", {}).get("content", {}).get("application/json", {})
    described = [parameter.alias for parameter in route.dependant.query_params]
    described += body.get("schema", {}).get("properties", {})
    known = {*described, *(_ALSO[name] for name in described if name in _ALSO)}
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name[:60], known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are: {', '.join(described) or 'none'}"
            raise BadRequest(f"unknown parameter {name[:60]!r}", hint=hint)


def text_of(given: dict[str, str]) -> str:
    """The search text, of `q` or `query`."""
    return given.get("q") or given.get("query") or ""


def times_of(given: dict[str, str]) -> TimeRange:
    """The times of `from` or `start` and `to` or `end`. Raises `BadQuery`."""
    now_ns = clock.now_ns()
    begin, end = given.get("from") or given.get("start") or "", given.get("to") or given.get("end") or ""
    return TimeRange(
        time_range.parse("from", begin, now_ns) if begin.strip() else None,
        time_range.parse("to", end, now_ns) if end.strip() else None,
    )


def number_of(given: dict[str, str], name: str, default: int, most: int) -> int:
    """The whole number from 1 to `most` of the parameter `name`. Raises `BadRequest`."""
    text = given.get(name) or str(default)
    if not re.fullmatch("[0-9]{1,9}", text) or not 1 <= int(text) <= most:
        raise BadRequest(f"parameter {name!r} is a number from 1 to {most}, not {text[:60]!r}")
    return int(text)


async def body(request: Request) -> dict[str, str]:
    """The parameters of a body alone, as text. Raises `BadRequest`, `TooLarge`."""
    return _from_body((await read_body(request, MAX_BODY_BYTES)).strip())


async def read_body(request: Request, max_bytes: int) -> bytes:
    """The bytes of a body. Raises `TooLarge`."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            raise TooLarge(f"the body of this call has at most {max_bytes} bytes")
    return body


def _from_body(body: bytes) -> dict[str, str]:
    try:
        if not body.startswith(b"{"):
            if body and b"=" not in body:
                raise ValueError("no parameter is named")
            return dict(parse_qsl(body.decode(), keep_blank_values=True))
        values = _decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as error:
        raise BadRequest(f"the body is neither a JSON object of parameters nor a form: {error}") from None
    return {name: _text(value) for name, value in values.items() if value is not None}


def _text(value: str | int | float | bool | None) -> str:
    return value if isinstance(value, str) else str(value).lower()
