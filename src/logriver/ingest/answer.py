"""Answers of plain ASGI applications."""

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

import msgspec

from logriver.errors import LogriverError, Overloaded

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

JSON = b"application/json"


def refusal(error: LogriverError) -> tuple[int, bytes, Headers]:
    """Status, body and further headers that say what is wrong."""
    return error.status, msgspec.json.encode({"error": error.answer()}), retry_after(error)


def retry_after(error: LogriverError) -> Headers:
    """The header that says when to come back, where the error knows."""
    if isinstance(error, Overloaded):
        return [(b"retry-after", str(error.retry_after_seconds).encode())]
    return []


def whole_answer(error: LogriverError) -> tuple[Headers, bytes]:
    """All headers and the body of a refusal, for what answers without an application."""
    _, body, headers = refusal(error)
    return [(b"content-type", JSON), (b"content-length", b"%d" % len(body)), *headers], body


async def send_answer(
    send: Send, status: int, body: bytes, headers: Sequence[tuple[bytes, bytes]] = (), content_type: bytes = JSON
) -> None:
    """Send a whole answer."""
    head = [(b"content-type", content_type), (b"content-length", b"%d" % len(body)), *headers]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})
