"""The parameters of calls: a model for each call, out of the address or, by POST, out of a JSON object or a form.

FastAPI reads the models from the address and describes them in `/docs`; `posted` and `described` do both for bodies.
"""

import difflib
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Annotated, Any, TypeVar
from urllib.parse import parse_qsl

import msgspec
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
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

_ALSO = {"q": "query", "from": "start", "to": "end"}
"""Further names of parameters, where a call has them: the first that is not empty counts."""
# The earlier systems passed over what they did not know.
_STRICT = "/api/v1/"

_decode = msgspec.json.Decoder(dict[str, str | int | float | bool | None]).decode


class Parameters(BaseModel):
    """What a call can be asked with. Every value comes as text; what reads it raises `BadRequest` itself."""

    model_config = ConfigDict(frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _under_their_first_names(cls, given: Mapping[str, object]) -> Mapping[str, object]:
        also = {name: _last(given[other]) for name, other in _ALSO.items() if other in given and not given.get(name)}
        return {**given, **also} if also else given


class TextParameters(Parameters):
    """A search text."""

    q: Annotated[str, Field(description="search text; also `query`")] = ""


class TimeParameters(Parameters):
    """Times."""

    from_: Annotated[str, Field(alias="from", description="first time, inclusive; also `start`")] = ""
    to: Annotated[str, Field(description="last time, exclusive; also `end`")] = ""

    @property
    def times(self) -> TimeRange:
        """As of now. Raises `BadQuery`."""
        now_ns = clock.now_ns()
        return TimeRange(
            time_range.parse("from", self.from_, now_ns) if self.from_.strip() else None,
            time_range.parse("to", self.to, now_ns) if self.to.strip() else None,
        )


class SearchParameters(TimeParameters, TextParameters):
    """A search text and times."""


Zone = Annotated[str, Field(description="time zone in which days begin, such as Europe/Berlin; UTC when absent")]


def whole_number(name: str, default: int, most: int) -> BeforeValidator:
    """Reads a whole number from 1 to `most`; an empty text is the default. Raises `BadRequest`."""
    return BeforeValidator(lambda given: number_of(name, str(given) or str(default), most))


def number_of(name: str, text: str, most: int) -> int:
    """The whole number from 1 to `most` that the parameter `name` has. Raises `BadRequest`."""
    if not re.fullmatch("[0-9]{1,16}", text) or not 1 <= int(text) <= most:
        raise BadRequest(f"parameter {name!r} is a number from 1 to {most}, not {text[:60]!r}")
    return int(text)


_Model = TypeVar("_Model", bound=Parameters)


def posted(model: type[_Model]) -> Callable[[Request], Awaitable[_Model]]:
    """A dependency that reads a model from the body and the address; the body's values win."""

    async def read(request: Request) -> _Model:
        given = dict(request.query_params) | await body(request)
        _check_names(request, given)
        return model.model_validate(given)

    return read


def in_body(model: type[_Model]) -> Callable[[Request], Awaitable[_Model]]:
    """A dependency that reads a model from the body alone, which may have more than that."""

    async def read(request: Request) -> _Model:
        return model.model_validate(await body(request))

    return read


def described(model: type[Parameters], media_type: str = "application/json") -> dict[str, Any]:
    """How `/docs` shows what `posted` and `in_body` take."""
    whole = model.model_json_schema()
    needed = {"required": whole["required"]} if "required" in whole else {}
    schema = {"type": "object", "properties": whole["properties"], **needed}
    return {"requestBody": {"content": {media_type: {"schema": schema}}, **({"required": True} if needed else {})}}


async def no_unknown(request: HTTPConnection) -> None:
    """Every call depends on it: a mistyped parameter would be passed over, and the answer be another than was asked.

    Raises `BadRequest`. The agents' channel, which has no parameters, is let through.
    """
    if request.scope["type"] == "http" and request.url.path.startswith(_STRICT):
        _check_names(request, request.query_params)


def _check_names(request: HTTPConnection, given: Iterable[str]) -> None:
    if not given:
        return
    names = list(_names(request.scope["route"]))
    known = {*names, *(_ALSO[name] for name in names if name in _ALSO)}
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name[:60], known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are: {', '.join(names) or 'none'}"
            raise BadRequest(f"unknown parameter {name[:60]!r}", hint=hint)


def _names(route: Any) -> Iterator[str]:
    """The parameters that a route has: single ones, those of its model, and those of its body."""
    for parameter in route.dependant.query_params:
        model = parameter.field_info.annotation
        if isinstance(model, type) and issubclass(model, Parameters):
            yield from (field.alias or name for name, field in model.model_fields.items())
        else:
            yield parameter.alias
    body = (route.openapi_extra or {}).get("requestBody", {}).get("content", {}).get("application/json", {})
    yield from body.get("schema", {}).get("properties", {})


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


def _last(given: object) -> object:
    """Of a parameter that was given several times the last value, as of all others."""
    return given[-1] if isinstance(given, list) and given else given
