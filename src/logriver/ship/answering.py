"""The agent's answers to its server's requests over one connection, several at a time."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass

from websockets.exceptions import ConnectionClosed

from logriver import clock
from logriver.errors import LogriverError, Overloaded
from logriver.ship import frames
from logriver.ship.frames import CREDIT, PIECE_BYTES, Ask, Cancel, End, Failure, More, Piece
from logriver.trace import begin_trace

MAX_ASKED = 64
"""So many requests are answered at one time; who reads what has limits of its own."""

# The server or its client had enough, or the channel was lost; the number is the one that the server's own line has.
_NOBODY_WAITS = 499

AnswerAsk = Callable[[Ask], AsyncGenerator[bytes, None]]
"""Answers a request piece by piece; it is closed when nobody waits any more.

Raises `LogriverError`, before the first piece for what is known beforehand.
"""

log = logging.getLogger(__name__)


class Answering:
    """One for each connection. `send` sends a message and waits while the connection does not take it."""

    def __init__(self, answer: AnswerAsk, send: Callable[[bytes], Awaitable[None]]) -> None:
        self._answer = answer
        self._send = send
        self._asked: dict[int, _Asked] = {}

    async def take(self, frame: Ask | More | Cancel) -> None:
        """What the server sent. An answer that is over may still be asked to go on or to stop."""
        asked = self._asked.get(frame.id)
        if isinstance(frame, Ask):
            await self._begin(frame)
        elif asked is None:
            return
        elif isinstance(frame, More):
            asked.grant(frame.pieces)
        else:
            asked.task.cancel()

    async def close(self) -> None:
        """Stop all reading."""
        tasks = [asked.task for asked in self._asked.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _begin(self, ask: Ask) -> None:
        if ask.id in self._asked or len(self._asked) >= MAX_ASKED:
            refusal = Overloaded(f"{MAX_ASKED} requests are being answered")
            await self._send(frames.encode(End(ask.id, frames.failure_of(refusal))))
            return
        credit = asyncio.Semaphore(CREDIT)
        asked = _Asked(credit, asyncio.create_task(self._answered(ask, credit)))
        self._asked[ask.id] = asked
        asked.task.add_done_callback(lambda _: self._asked.pop(ask.id))

    async def _answered(self, ask: Ask, credit: asyncio.Semaphore) -> None:
        trace, started = begin_trace(ask.traceparent), clock.monotonic()
        status = _NOBODY_WAITS
        with suppress(ConnectionClosed):
            try:
                failure = await self._read(ask, credit)
                status = failure.status if failure else 200
            finally:
                # Also of an answer that the server had enough of: it is part of the request.
                elapsed_ms = round(1000 * (clock.monotonic() - started), 3)
                fields = {"kind": ask.kind[:60], "status": status, "elapsed_ms": elapsed_ms}
                parent = {"parent_span_id": trace.parent_id} if trace.parent_id else {}
                log.info("answered the server", extra={"fields": fields | parent})
            await self._send(frames.encode(End(ask.id, failure)))

    async def _read(self, ask: Ask, credit: asyncio.Semaphore) -> Failure | None:
        """Send the pieces of an answer; what kept it from being whole."""
        try:
            async with aclosing(self._answer(ask)) as pieces:
                async for piece in pieces:
                    for start in range(0, len(piece), PIECE_BYTES):
                        await credit.acquire()
                        await self._send(frames.encode(Piece(ask.id, piece[start : start + PIECE_BYTES])))
        except LogriverError as error:
            return frames.failure_of(error)
        except ConnectionClosed:
            raise
        except Exception:
            log.exception("a request of the server failed", extra={"fields": {"kind": ask.kind[:60]}})
            return frames.failure_of(LogriverError("an internal error of the agent, its internal log says which"))
        return None


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request being answered, and its leave to send pieces."""

    credit: asyncio.Semaphore
    task: asyncio.Task[None]

    def grant(self, pieces: int) -> None:
        """Let more pieces be sent; never more at once than an answer begins with."""
        for _ in range(max(0, min(pieces, CREDIT))):
            self.credit.release()
