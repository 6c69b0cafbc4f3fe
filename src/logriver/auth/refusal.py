"""The answers to requests that may not come in, and to browsers that ask whether they may ask."""

from typing import Any
from urllib.parse import quote

import msgspec

from logriver.auth.cors import Send
from logriver.auth.request_origin import Headers, header
from logriver.errors import LogriverError, Overloaded, Unauthenticated

LOGIN_PATH = "/login"

_JSON: Headers = [(b"content-type", b"application/json")]


async def refuse(scope: Any, send: Send, refusal: LogriverError) -> None:
    """Tell a program why; a person who opened a page and needs the token is led to where it can be given."""
    if scope["type"] == "websocket":
        body = msgspec.json.encode({"error": refusal.answer()})
        await send({"type": "websocket.http.response.start", "status": refusal.status, "headers": _JSON})
        await send({"type": "websocket.http.response.body", "body": body})
        return
    if isinstance(refusal, Unauthenticated) and _is_person(scope):
        next_path = scope["path"] + (f"?{scope['query_string'].decode('latin-1')}" if scope["query_string"] else "")
        await answer(scope, send, 303, b"", [(b"location", f"{LOGIN_PATH}?next={quote(next_path, safe='/')}".encode())])
        return
    headers = [*_JSON]
    if isinstance(refusal, Unauthenticated):
        headers.append((b"www-authenticate", b'Bearer realm="logriver"'))
    if isinstance(refusal, Overloaded):
        # Whoever guesses pays for a connection each time.
        headers += [(b"retry-after", str(refusal.retry_after_seconds).encode()), (b"connection", b"close")]
    await answer(scope, send, refusal.status, msgspec.json.encode({"error": refusal.answer()}), headers)


async def answer(scope: Any, send: Send, status: int, body: bytes, headers: Headers) -> None:
    """A whole answer."""
    length = [] if status == 204 else [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*length, *headers]})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


def _is_person(scope: Any) -> bool:
    return scope["method"] == "GET" and b"text/html" in header(scope["headers"], b"accept")
