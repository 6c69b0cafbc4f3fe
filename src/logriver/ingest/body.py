"""Reading a request's body: bounded in bytes, reserved before it is read. `http_protocol.py` bounds the time."""

from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from logriver.errors import BadBody, TooLarge
from logriver.ingest.memory_budget import MemoryBudget, Reservation

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


QUIET_BODY = "logriver.quiet_body"
"""Set in the scope of a request whose body may stop for as long as its sender likes."""


class ClientGone(Exception):
    """The client left before its body was here, or was refused meanwhile: there is nobody to answer."""


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """What bodies may be. `budget` is shared by all protocols."""

    budget: MemoryBudget
    max_body_bytes: int
    max_record_bytes: int


def header(scope: Scope, name: bytes) -> str:
    """A header's value, empty if it is not there."""
    for key, value in scope["headers"]:
        if key == name:
            return str(value, "latin-1").strip()
    return ""


async def read_body(scope: Scope, receive: Receive, reservation: Reservation, limits: BodyLimits) -> bytes:
    """The body as it was sent.

    Raises `TooLarge`, `Overloaded` (no memory reserved for it), `BadBody`, `ClientGone`.
    """
    declared = header(scope, b"content-length")
    if declared:
        if not declared.isdecimal():
            raise BadBody(f"content-length {declared[:40]!r} is not a number")
        _check_size(int(declared), limits.max_body_bytes)
        reservation.grow_to(int(declared))
    return await _read(receive, reservation, limits.max_body_bytes)


async def read_pieces(receive: Receive) -> AsyncIterator[bytes]:
    """The body as it arrives, without its empty pieces. Raises `ClientGone`."""
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        if piece := message.get("body", b""):
            yield piece
        more = message.get("more_body", False)


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
