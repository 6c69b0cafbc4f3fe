"""Reading a request's body: bounded in bytes and time, reserved before it is read."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from logriver.errors import BadBody, BodyTimeout, TooLarge
from logriver.receive.inflight import Reservation

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class ClientGone(Exception):
    """The client left before its body was here: there is nobody to answer."""


def header(scope: Scope, name: bytes) -> str:
    """A header's value, empty if it is not there."""
    for key, value in scope["headers"]:
        if key == name:
            return str(value, "latin-1").strip()
    return ""


async def read_body(scope: Scope, receive: Receive, reservation: Reservation, max_bytes: int, seconds: float) -> bytes:
    """The body as it was sent.

    Raises `TooLarge`, `Overloaded` (no memory reserved for it), `BodyTimeout` after `seconds`, `BadBody`, `ClientGone`.
    """
    declared = header(scope, b"content-length")
    if declared:
        if not declared.isdecimal():
            raise BadBody(f"content-length {declared[:40]!r} is not a number")
        _check_size(int(declared), max_bytes)
        reservation.grow_to(int(declared))
    try:
        async with asyncio.timeout(seconds):
            return await _read(receive, reservation, max_bytes)
    except TimeoutError:
        raise BodyTimeout(f"the body did not arrive within {seconds:g} s") from None


async def _read(receive: Receive, reservation: Reservation, max_bytes: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        piece = message.get("body", b"")
        size += len(piece)
        _check_size(size, max_bytes)
        reservation.grow_to(size)
        if not message.get("more_body"):
            return b"".join([*pieces, piece]) if pieces else piece
        pieces.append(piece)


def _check_size(size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise TooLarge(f"the body has {size} bytes or more, the limit is {max_bytes}", hint="send smaller batches")
