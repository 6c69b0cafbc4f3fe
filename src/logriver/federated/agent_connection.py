"""The server's end of one agent's channel: what the agent says of itself, and the answers that it gives."""

import asyncio
import logging
from collections.abc import AsyncGenerator

from starlette.websockets import WebSocket

from logriver import __version__, clock
from logriver.errors import BadRequest, BodyTimeout, LogriverError, NameTaken, Overloaded, Unavailable
from logriver.ship import frames
from logriver.ship.answering import MAX_ASKED
from logriver.ship.frames import CREDIT, PIECE_BYTES, SILENT_SECONDS, AgentSource, Ask, Beat, Cancel, Hello, More, Piece
from logriver.trace import outgoing_traceparent

# An agent lives on and reads, and an answer has no next piece for so long: it hangs, on a dead file system perhaps.
_HANGING_SECONDS = 600.0
# With so many frames waiting for an agent no further request is added. Those that it has may add a few each.
_MAX_WAITING = 500
_MOST_WAITING = 2 * _MAX_WAITING
# With what is around the sources.
_MAX_BEAT_BYTES = frames.MAX_BEAT_BYTES + 1_000

log = logging.getLogger(__name__)


class AgentConnection:
    """One open channel. On the event loop; `run` reads it until it ends, `ask` is for any number of requests."""

    def __init__(self, hello: Hello, socket: WebSocket) -> None:
        self.hello = hello
        self.since_ns = self.heard_ns = clock.now_ns()
        self.sources: list[AgentSource] = []
        self.sources_left_out = 0
        self.problems: list[str] = []
        self._socket = socket
        self._heard_at = clock.monotonic()
        self._outgoing: asyncio.Queue[frames.FromServer] = asyncio.Queue()
        self._patience: asyncio.Timeout | None = None
        self._is_displaced = self._is_deaf = False
        self._has_ended = False
        self._answers: dict[int, _Answer] = {}
        self._asked = 0

    @property
    def is_late(self) -> bool:
        """Whether the next beat is overdue."""
        return clock.monotonic() - self._heard_at > 2 * frames.BEAT_SECONDS

    async def run(self) -> None:
        """Until the agent leaves.

        Raises `BadRequest` for what no agent says, `NameTaken` if its name went to another one, `BodyTimeout` if it was
        silent for too long.
        """
        sending = asyncio.create_task(self._send())
        sending.add_done_callback(self._cannot_send)
        try:
            while (message := await self._next_message()) is not None:
                self._heard_at, self.heard_ns = clock.monotonic(), clock.now_ns()
                self._take(message)
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            self._has_ended = True
            for answer in self._answers.values():
                answer.end(self._vanished())

    def displace(self) -> None:
        """End it, because another connection has its name now."""
        self._is_displaced = True
        self._end_soon()

    def _cannot_send(self, sending: asyncio.Task[None]) -> None:
        """An agent that nothing can be sent to would wait for its answers for ever."""
        if not sending.cancelled():
            reason = repr(sending.exception())[:200]
            log.warning("an agent cannot be sent to", extra={"fields": {"agent": self.hello.name, "error": reason}})
            self._is_deaf = True
            self._end_soon()

    def _end_soon(self) -> None:
        if self._patience is not None and not self._patience.expired():
            self._patience.reschedule(0)

    async def ask(self, kind: str, request: bytes, has_token: bool) -> AsyncGenerator[bytes, None]:
        """The pieces of the answer. Raises the agent's error as it is, and `Unavailable` if the agent vanishes."""
        if self._has_ended:
            raise self._vanished()
        if len(self._answers) >= MAX_ASKED or self._outgoing.qsize() > _MAX_WAITING:
            raise Overloaded(f"agent {self.hello.name!r} is answering {MAX_ASKED} requests")
        self._asked += 1
        number, answer = self._asked, _Answer()
        self._answers[number] = answer
        self._outgoing.put_nowait(Ask(number, kind, request, has_token, outgoing_traceparent() or ""))
        try:
            while (piece := await self._next_piece(answer)) is not None:
                yield piece
                self._outgoing.put_nowait(More(number, 1))
        finally:
            del self._answers[number]
            if not answer.has_ended:
                self._outgoing.put_nowait(Cancel(number))

    async def _next_message(self) -> bytes | str | None:
        """The next message; None when the agent has left."""
        try:
            async with asyncio.timeout(SILENT_SECONDS) as self._patience:
                message = await self._socket.receive()
        except TimeoutError:
            if self._is_deaf:
                return None
            if self._is_displaced:
                raise NameTaken("another process of this machine has the name now") from None
            raise BodyTimeout(f"nothing was heard for {SILENT_SECONDS:.0f} s") from None
        if message["type"] == "websocket.disconnect":
            return None
        given: bytes | str = message.get("bytes") or message.get("text") or b""
        return given

    def _take(self, message: bytes | str) -> None:
        frame = frames.from_agent(message)
        if self._outgoing.qsize() > _MOST_WAITING:
            raise BadRequest("the agent sends and does not read")
        if isinstance(frame, Beat):
            if len(message) > _MAX_BEAT_BYTES:
                raise BadRequest(f"a beat has at most {_MAX_BEAT_BYTES} bytes")
            self.sources, self.sources_left_out, self.problems = frame.sources, frame.left_out, frame.problems
            return
        if isinstance(frame, Hello) or not 0 < frame.id <= self._asked:
            raise BadRequest("a frame that nothing asked for")
        # What was on its way when its request was cancelled is of no use.
        if answer := self._answers.get(frame.id):
            if isinstance(frame, Piece):
                answer.add(frame.data)
            else:
                answer.end(frames.error_of(frame.failure) if frame.failure else None)

    async def _next_piece(self, answer: "_Answer") -> bytes | None:
        try:
            async with asyncio.timeout(_HANGING_SECONDS):
                return await answer.next()
        except TimeoutError:
            raise Unavailable(f"agent {self.hello.name!r} has been reading for {_HANGING_SECONDS:.0f} s") from None

    async def _send(self) -> None:
        await self._socket.send_bytes(frames.encode(frames.Welcome(__version__)))
        while True:
            await self._socket.send_bytes(frames.encode(await self._outgoing.get()))

    def _vanished(self) -> LogriverError:
        return Unavailable(f"agent {self.hello.name!r} vanished")


class _Answer:
    """What came of an answer and was not taken yet; bounded by the leave that the agent has."""

    def __init__(self) -> None:
        self._arrived: asyncio.Queue[bytes | LogriverError | None] = asyncio.Queue()
        self._untaken = 0
        self.has_ended = False

    def add(self, piece: bytes) -> None:
        """A piece from the agent. Raises `BadRequest` for one that the agent had no leave to send."""
        if self.has_ended or self._untaken == CREDIT or not 0 < len(piece) <= PIECE_BYTES:
            raise BadRequest("a piece without leave")
        self._untaken += 1
        self._arrived.put_nowait(piece)

    def end(self, error: LogriverError | None) -> None:
        """No more comes, because of `error` if there is one."""
        if not self.has_ended:
            self.has_ended = True
            self._arrived.put_nowait(error)

    async def next(self) -> bytes | None:
        """The next piece, None when the answer is whole. Raises what kept it from that."""
        arrived = await self._arrived.get()
        if isinstance(arrived, LogriverError):
            raise arrived
        if arrived is not None:
            self._untaken -= 1
        return arrived
