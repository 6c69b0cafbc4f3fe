"""The internal log in the own store: each line goes into memory where it is logged, and once a second all are put
together.

Storing a line can be what brings the next one: while the disk is full, each try to store says so. Against that feedback

- what the storing task itself logs is not taken, and what it brings other threads to log comes once a try;
- after a failed try the next waits, each time twice as long, up to a minute; the lines stay, and are tried again;
- equal lines that wait become one with a count (`repeated`);
- a second brings at most 50 lines, and at most 1 MB waits. What is over is counted, and said in one line.

It is best effort: a crash loses the last second, or what was waiting for a store that does not take it.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass

from logriver import clock, metrics
from logriver.decode.decoder import Decoder, Options, State
from logriver.errors import Overloaded
from logriver.record import Batch, Sink
from logriver.telemetry.internal_log import encode, line_of
from logriver.threads import SupervisedTask

SOURCE = "logriver"
"""`service` of the lines, and their `_source` where they are put into a sink."""

Put = Callable[[bytes], Awaitable[None]]
"""Stores NDJSON, durably when awaited. Raises `Overloaded` if it did not for now: the same bytes come again then."""

_FLUSH_SECONDS = 1.0
_MOST_SECONDS_BETWEEN_TRIES = 60.0
# At the end of the process the store may be gone, and nobody waits long.
_LAST_FLUSH_SECONDS = 5.0
_MOST_LINES_A_SECOND = 50
_MOST_WAITING_BYTES = 1_000_000

_is_storing: ContextVar[bool] = ContextVar("is_storing", default=False)
_accepted = metrics.accepted.labels(protocol="internal_log")


def into(sink: Sink, decoder: Decoder) -> Put:
    """How the lines are put into a sink of this process."""
    options = Options("json", zone="UTC", max_record_bytes=_MOST_WAITING_BYTES)

    async def put(lines: bytes) -> None:
        decoded, _ = decoder.decode(lines, options, State(clock.now_ns()))
        metrics.internal_log_lost.inc(len(decoded.refused))
        if decoded.count:
            receipt = await sink.put(Batch(decoded, SOURCE))
            _accepted.inc(receipt.accepted)

    return put


@contextlib.asynccontextmanager
async def internal_log_stored(put: Put, host: str) -> AsyncIterator[SupervisedTask]:
    """Inside of the block the internal log is `put` too, with `host` as its host; at the end, what still waits.

    What is given is the loop that puts it.
    """
    store_log = StoreLog(host)
    logging.getLogger().addHandler(store_log)
    storing = SupervisedTask("internal-log", "the internal log cannot be stored", late_seconds=None)
    storing.start(lambda: store_log.turn(put))
    try:
        yield storing
    finally:
        logging.getLogger().removeHandler(store_log)
        store_log.stop()
        if not await storing.join(2 * _LAST_FLUSH_SECONDS):
            await storing.stop(_LAST_FLUSH_SECONDS)


@dataclass(slots=True)
class _Times:
    """When a line was logged, and how often again until it was stored."""

    first: object
    repeated: int = 0

    def before(self, content: bytes) -> bytes:
        """The whole line, given all else of it as a JSON object."""
        times = {"time": self.first, "repeated": self.repeated} if self.repeated else {"time": self.first}
        return b"%b,%b" % (encode(times)[:-1], content[1:])


class StoreLog(logging.Handler):
    """Whoever logs, on any thread, never waits for the store and hears of no error. The rest is on the event loop."""

    def __init__(self, host: str) -> None:
        super().__init__()
        self._origin: dict[str, object] = {"service": SOURCE, "host": host}
        # By all that a line is but its time, as JSON.
        self._waiting: dict[bytes, _Times] = {}
        self._waiting_bytes = 0
        self._lost = 0
        self._second = 0
        self._lines_in_second = 0
        self._untaken = b""
        self._seconds = _FLUSH_SECONDS
        self._stopping = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        """Take a line; called by `logging`, under this handler's lock."""
        if _is_storing.get():
            return
        try:
            self._take(line_of(record))
        except Exception:  # noqa: BLE001
            # The log call that cannot be shown is no reason for its caller to fail; stderr has said what is wrong.
            self._lose(1)

    def _take(self, line: dict[str, object]) -> None:
        time = line.pop("time")
        content = encode(line | self._origin)
        if known := self._waiting.get(content):
            known.repeated += 1
        elif self._has_space(len(content)):
            self._waiting[content] = _Times(time)
            self._waiting_bytes += len(content)
        else:
            self._lose(1)

    def _has_space(self, size: int) -> bool:
        second = int(clock.monotonic())
        if second != self._second:
            self._second, self._lines_in_second = second, 0
        self._lines_in_second += 1
        return self._lines_in_second <= _MOST_LINES_A_SECOND and self._waiting_bytes + size <= _MOST_WAITING_BYTES

    def _lose(self, count: int) -> None:
        self._lost += count
        metrics.internal_log_lost.inc(count)

    async def turn(self, put: Put) -> float | None:
        """Put what was logged within the last second; when it was stopped, what is left, and then None."""
        _is_storing.set(True)
        if not await self._stopped_within(self._seconds):
            was_taken = await self._flush(put)
            self._seconds = _FLUSH_SECONDS if was_taken else min(2 * self._seconds, _MOST_SECONDS_BETWEEN_TRIES)
            return 0.0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_FLUSH_SECONDS):
                # What was not taken before, then what came since.
                if await self._flush(put):
                    await self._flush(put)
        return None

    def stop(self) -> None:
        """Let the next `turn` be the last."""
        self._stopping.set()

    async def _stopped_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
        return self._stopping.is_set()

    async def _flush(self, put: Put) -> bool:
        """Whether what waits was stored, or nothing does. What was not stays together, and comes again."""
        self._untaken = self._untaken or self._gather()
        if not self._untaken:
            return True
        try:
            await put(self._untaken)
        except Overloaded:
            return False
        except Exception:  # noqa: BLE001
            # It would be the same again, and a line about it would be the next that cannot be stored.
            self._lose(self._untaken.count(b"\n") + 1)
            self._untaken = b""
            return False
        self._untaken = b""
        return True

    def _gather(self) -> bytes:
        self.acquire()
        try:
            waiting, self._waiting, self._waiting_bytes = self._waiting, {}, 0
            lost, self._lost = self._lost, 0
        finally:
            self.release()
        lines = [times.before(content) for content, times in waiting.items()]
        if lost:
            about = {"level": "warn", "logger": __name__, "message": "lines of the internal log are not in the store"}
            lines.append(encode({"time": clock.to_text(clock.now_ns()), **self._origin, **about, "lost": lost}))
        return b"\n".join(lines)
