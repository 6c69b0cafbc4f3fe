"""Reading a request's body: bounded in bytes and time, reserved before it is read."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from logriver.errors import BadBody, BodyTimeout, TooLarge
from logriver.ingest.memory_budget import Inflight, Reservation

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class ClientGone(Exception):
    """The client left before its body was here: there is nobody to answer."""


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """What bodies may be, and how long one may take to arrive. `inflight` is shared by all ways in."""

    inflight: Inflight
    max_body_bytes: int
    max_record_bytes: int
    body_timeout: float


def header(scope: Scope, name: bytes) -> str:
    """A header's value, empty if it is not there."""
    for key, value in scope["headers"]:
        if key == name:
            return str(value, "latin-1").strip()
    return ""


async def read_body(scope: Scope, receive: Receive, reservation: Reservation, limits: BodyLimits) -> bytes:
    """The body as it was sent.

    Raises `TooLarge`, `Overloaded` (no memory reserved for it), `BodyTimeout`, `BadBody`, `ClientGone`.
    """
    declared = header(scope, b"content-length")
    if declared:
        if not declared.isdecimal():
            raise BadBody(f"content-length {declared[:40]!r} is not a number")
        _check_size(int(declared), limits.max_body_bytes)
        reservation.grow_to(int(declared))
    async with _Deadline(limits.body_timeout):
        return await _read(receive, reservation, limits.max_body_bytes)


class _Deadline:
    """`asyncio.timeout` at a quarter of its price, which every small request pays. Raises `BodyTimeout`."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._passed = False

    async def __aenter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None, "a body is read inside of a task"
        self._task = task
        self._timer = task.get_loop().call_later(self._seconds, self._pass)

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._timer.cancel()
        if self._passed and kind is asyncio.CancelledError and self._task.uncancel() == 0:
            raise BodyTimeout(f"the body did not arrive within {self._seconds:g} s") from None

    def _pass(self) -> None:
        self._passed = True
        self._task.cancel()


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
