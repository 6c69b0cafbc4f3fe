"""Loops that run for as long as the process does, on threads and on the event loop, and what belongs to one thread.

A loop is a *turn* that is called again and again: it returns the seconds until the next one, or None to end. Whatever a
turn raises, the loop goes on: the error is logged, counted, shown as a problem until a turn succeeds, and the turn is
tried again, each time after a longer pause. So a turn must be safe to repeat, with what it left half done.

A loop that does not get on is a problem too, whatever keeps it: a turn that takes long calls `beat` now and then, one
that waits for work does it inside of `idle`. And no stop waits for ever: what does not end in time is logged and left.

Composition roots show the `problems` of every loop; nothing else starts a thread that outlives a call.
"""

import asyncio
import contextlib
import logging
import os
import re
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar

from logriver import clock, metrics
from logriver.errors import LogriverError, Overloaded

FIRST_BACKOFF_SECONDS = 0.2
LAST_BACKOFF_SECONDS = 10.0
LATE_SECONDS = 30.0
_OVER_SECONDS = 10.0
_SAID_AGAIN_SECONDS = 60.0
_MOST_CHARACTERS = 200
# Problems are shown to whoever asks, where the files are is told by the log alone.
_PATH = re.compile(r"(?:/[^\s/'\",;()]+){2,}/?")

OWNERS_ARE_CHECKED = bool(os.environ.get("LOGRIVER_CHECK_OWNERS"))
"""Whether `Owner.check` does anything: the tests set it, for the servers that they start too."""

log = logging.getLogger(__name__)


class Loop:
    """What became of the last turn of a loop, and since when the present one runs. Read by any thread.

    `name` is the metric's label. `trouble` says in plain words what is not done while the loop fails. Errors that are
    `foreseen` are logged without a traceback. A turn that has not ended, or said that it goes on, for `late_seconds` is
    a problem; None is for turns that do not end by themselves: what failed is over when one has gone on for a while.
    """

    def __init__(
        self,
        name: str,
        trouble: str,
        *,
        first_backoff_seconds: float = FIRST_BACKOFF_SECONDS,
        last_backoff_seconds: float = LAST_BACKOFF_SECONDS,
        late_seconds: float | None = LATE_SECONDS,
        foreseen: tuple[type[Exception], ...] = (LogriverError, OSError),
    ) -> None:
        self.name = name
        self._trouble = trouble
        self._backoff = (first_backoff_seconds, last_backoff_seconds)
        self._late_seconds = late_seconds
        self._foreseen = foreseen
        self._failures = 0
        self._failure = ""
        self._said = ("", 0.0)
        self._is_idle = True
        self._due_at = 0.0
        self._stopping = threading.Event()

    @property
    def problems(self) -> list[str]:
        """What the loop cannot do now, if there is anything."""
        late = clock.monotonic() - self._due_at
        if self._failure and (self._late_seconds is not None or late < _OVER_SECONDS):
            return [f"{self._trouble}, trying again: {self._failure}"]
        if self._late_seconds is None or self._is_idle or late < self._late_seconds:
            return []
        return [f"{self._trouble}: loop {self.name!r} has not gone on for {late:.0f} s"]

    @property
    def is_stopping(self) -> bool:
        """Whether the loop is to end: a turn of many steps on a thread looks at it between them."""
        return self._stopping.is_set()

    def beat(self) -> None:
        """The present turn goes on."""
        self._due_at = clock.monotonic()

    @contextlib.contextmanager
    def idle(self) -> Iterator[None]:
        """Inside of this block the present turn waits for work; what failed before is over then."""
        self._recovered()
        self._is_idle = True
        try:
            yield
        finally:
            self.beat()
            self._is_idle = False

    def _begin(self, pause: float = 0.0) -> None:
        _current.set(self)
        self._due_at = clock.monotonic() + pause
        self._is_idle = False

    def _end(self) -> None:
        self._recovered()
        self._is_idle = True

    def _recovered(self) -> None:
        if self._failure:
            self._failures, self._failure = 0, ""

    def _turned(self, pause: float) -> None:
        self._recovered()
        self._due_at = clock.monotonic() + pause

    def _failed(self, error: BaseException) -> float:
        """Note, count and log it; the seconds until the next try. Raises where there is no memory even for that."""
        first, last = self._backoff
        pause = min(first * 2.0 ** min(self._failures, 30), last)
        if isinstance(error, Overloaded):
            pause = max(pause, float(error.retry_after_seconds))
        self._due_at = clock.monotonic() + pause
        self._failures += 1
        said = str(error)[:_MOST_CHARACTERS] or type(error).__name__
        self._failure = _PATH.sub("(a path)", said)
        metrics.loop_failures.labels(loop=self.name).inc()
        self._say(error, said)
        return pause

    def _say(self, error: BaseException, said: str) -> None:
        before, at = self._said
        now = clock.monotonic()
        if said == before and now - at < _SAID_AGAIN_SECONDS:
            return
        self._said = (said, now)
        fields: dict[str, object] = {"loop": self.name}
        names = {"hint": "hint", "code": "engine_code", "detail": "detail"}
        more = {name: getattr(error, attribute, None) for name, attribute in names.items()}
        fields |= {name: value for name, value in more.items() if value}
        traceback = None if isinstance(error, self._foreseen) else error
        log.warning("%s, trying again: %s", self._trouble, said, exc_info=traceback, extra={"fields": fields})


_current: ContextVar[Loop | None] = ContextVar("loop", default=None)


def beat() -> None:
    """The loop whose turn this is part of goes on; outside of loops it does nothing."""
    loop = _current.get()
    if loop is not None:
        loop.beat()


def idle() -> contextlib.AbstractContextManager[None]:
    """Inside of this block the loop whose turn this is part of waits for work; outside of loops it does nothing."""
    loop = _current.get()
    return contextlib.nullcontext() if loop is None else loop.idle()


def is_stopping() -> bool:
    """Whether the loop whose turn this is part of is to end; outside of loops it is not."""
    loop = _current.get()
    return loop is not None and loop.is_stopping


class SupervisedThread(Loop):
    """A loop on a thread of its own; see `Loop` for the names."""

    _thread: threading.Thread | None = None

    def start(self, turn: Callable[[], float | None], after_seconds: float = 0.0) -> None:
        """Begin. Turns may block."""
        self._thread = threading.Thread(target=self._run, args=(turn, after_seconds), name=self.name, daemon=True)
        self._thread.start()

    def stop(self, timeout_seconds: float) -> bool:
        """End after the present turn. True if it has ended, or never began; else that is logged, and it goes on."""
        self._stopping.set()
        if self.join(timeout_seconds):
            return True
        log.warning("loop %r does not end, the process ends without it", self.name)
        return False

    def join(self, timeout_seconds: float) -> bool:
        """Wait until it ends by itself. True if it has ended, or never began."""
        if self._thread is None:
            return True
        self._thread.join(max(0.0, timeout_seconds))
        return not self._thread.is_alive()

    def _run(self, turn: Callable[[], float | None], pause: float | None) -> None:
        self._begin(pause or 0.0)
        while pause is not None:
            try:
                if self._stopping.wait(pause):
                    break
                pause = self._turn_once(turn)
            except BaseException:  # noqa: BLE001
                # There was no memory even to say what failed; the failure may be all that is known of it.
                pause = self._backoff[1]
        self._end()

    def _turn_once(self, turn: Callable[[], float | None]) -> float | None:
        self.beat()
        try:
            pause = turn()
        except BaseException as error:  # noqa: BLE001  (a thread has nobody else to raise it to)
            return self._failed(error)
        self._turned(pause or 0.0)
        return pause


class SupervisedTask(Loop):
    """A loop on the event loop; see `Loop` for the names. Used there, but for `problems`.

    Turns that do not end by themselves are of a loop without `late_seconds`, or call `beat`.
    """

    _task: asyncio.Task[None] | None = None

    def start(self, turn: Callable[[], Awaitable[float | None]]) -> None:
        """Begin, with a turn as soon as the event loop comes to it."""
        self._task = asyncio.create_task(self._run(turn), name=self.name)

    async def join(self, timeout_seconds: float) -> bool:
        """Wait until it ends by itself. True if it has ended, or never began."""
        if self._task is None:
            return True
        await asyncio.wait([self._task], timeout=timeout_seconds)
        return self._task.done()

    async def stop(self, timeout_seconds: float) -> bool:
        """Cancel it. True if it has ended, or never began; else that is logged, and it goes on."""
        if self._task is None:
            return True
        self._task.cancel()
        if await self.join(timeout_seconds):
            return True
        log.warning("loop %r does not end, the process ends without it", self.name)
        return False

    async def _run(self, turn: Callable[[], Awaitable[float | None]]) -> None:
        self._begin()
        pause: float | None = 0.0
        try:
            while pause is not None:
                try:
                    await asyncio.sleep(pause)
                    pause = await self._turn_once(turn)
                except Exception:  # noqa: BLE001
                    # As in a thread: there was no memory even to say what failed.
                    pause = self._backoff[1]
        finally:
            self._end()

    async def _turn_once(self, turn: Callable[[], Awaitable[float | None]]) -> float | None:
        self.beat()
        try:
            pause = await turn()
        except (Exception, asyncio.CancelledError) as error:
            task = asyncio.current_task()
            # Something that a turn waits for may have been cancelled; that is no reason for the loop to end.
            if isinstance(error, asyncio.CancelledError) and (task is None or task.cancelling()):
                raise
            return self._failed(error)
        self._turned(pause or 0.0)
        return pause


def ends_within(timeout_seconds: float, name: str, work: Callable[[], object]) -> bool:
    """Do `work`, which stops something, on a thread that is left alone if it takes longer. True if it ended well."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001  (logged below)
            errors.append(error)

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    thread.join(timeout_seconds)
    if thread.is_alive():
        log.warning("%s takes over %.0f s, the process ends without it", name, timeout_seconds)
    for error in errors:
        log.error("%s failed", name, exc_info=error)
    return not thread.is_alive() and not errors


def ending_executor(loop: asyncio.AbstractEventLoop) -> Callable[[float], bool]:
    """Give the event loop threads for `to_thread`; what is given back ends them within so many seconds, or says False.

    The interpreter waits for such threads without a bound, and one may hang in a file system that does not answer.
    """
    executor = ThreadPoolExecutor(thread_name_prefix="work")
    loop.set_default_executor(executor)
    return lambda timeout_seconds: ends_within(timeout_seconds, "ending the threads of calls", executor.shutdown)


class Owner:
    """One thread, or the event loop by the thread it runs on, that alone may use something.

    It is the first one that is checked; another may follow when that one has ended. Where tests run a check raises
    `AssertionError` on another thread, elsewhere it costs a call.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._thread: threading.Thread | None = None

    def check(self) -> None:
        """To be called where what belongs to the owner is used."""
        if not OWNERS_ARE_CHECKED:
            return
        here = threading.current_thread()
        if self._thread is None or not self._thread.is_alive():
            self._thread = here
        if self._thread is not here:
            raise AssertionError(f"{self._what} belongs to {self._thread.name!r} and is used by {here.name!r}")
