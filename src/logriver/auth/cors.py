"""What pages of other origins are allowed to do: only those that the settings name, each exactly."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from logriver.auth.request_origin import Headers, header

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_REMEMBER_SECONDS = b"600"
_METHODS = b"GET, POST, DELETE"
_HEADERS = (
    b"accept, authorization, cache-control, content-encoding, content-type, idempotency-key, last-event-id, "
    b"traceparent, x-requested-with"
)


def is_preflight(scope: Any) -> bool:
    """Whether a browser asks if it may ask."""
    headers = scope["headers"]
    return bool(
        scope.get("method") == "OPTIONS"
        and header(headers, b"origin")
        and header(headers, b"access-control-request-method")
    )


def preflight_headers() -> Headers:
    """The answer to a browser that asks for an allowed page."""
    return [
        (b"access-control-allow-methods", _METHODS),
        (b"access-control-allow-headers", _HEADERS),
        (b"access-control-allow-private-network", b"true"),
        (b"access-control-max-age", _REMEMBER_SECONDS),
    ]


def readable_by(origin: bytes, send: Send) -> Send:
    """`send` with the headers that let a page of `origin` read the answer."""
    added = [
        (b"access-control-allow-origin", origin),
        (b"access-control-expose-headers", b"retry-after, traceparent"),
        (b"vary", b"origin"),
    ]

    async def send_readable(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *added]}
        await send(message)

    return send_readable
