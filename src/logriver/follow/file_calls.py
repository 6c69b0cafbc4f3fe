"""Blocking calls on files, off the event loop; a file system that does not answer holds up its own files alone.

A call that makes no progress for some seconds is given up: its caller gets a `TimeoutError` and goes on, the thread is
left to the kernel. Until it comes back, calls with the same *key*, a device or a directory, are refused at once, so
that a file system costs one thread and one wait, however many files lie on it.
"""

import asyncio
import contextlib
import logging
import queue
import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar

from logriver import clock

_NEVER = float("inf")
PATIENCE_SECONDS = 4.0
"""So long may a call make no progress; a key whose calls came back later gets twice as long, and so on."""
_LONGEST_PATIENCE_SECONDS = 60.0
_CLOSE_SECONDS = 1.0
_LOOK_SECONDS = 0.5
# Far more than work at one time; beyond it so many file systems hang that no call is made any more.
_MAX_THREADS = 64

_Result = TypeVar("_Result")
_Job = tuple["_Call[Any]", asyncio.AbstractEventLoop]


class _GivenUp(BaseException):
    """Ends a call of which nobody wants the result."""


log = logging.getLogger(__name__)
_here = threading.local()


def progressed(key: Hashable = None) -> None:
    """The call that runs on this thread goes on: to be said after each step of one with many.

    With a `key` that is the call's from now on. Ends a call that was given up.
    """
    call: _Call[Any] | None = getattr(_here, "call", None)
    if call is None:
        return
    if call.is_given_up:
        raise _GivenUp
    call.progressed_at = clock.monotonic()
    if key is not None:
        call.key = key


def answered() -> None:
    """The file system has answered: until the next `progressed` the call on this thread needs the processor alone."""
    call: _Call[Any] | None = getattr(_here, "call", None)
    if call is not None:
        call.progressed_at = _NEVER


@dataclass(slots=True, eq=False)
class _Call(Generic[_Result]):
    key: Hashable
    function: Callable[[], _Result]
    late: Callable[[_Result], object] | None
    outcome: asyncio.Future[_Result]
    asked_at: float
    # Of one that has not begun, as of one that computes, nothing is expected.
    progressed_at: float = _NEVER
    has_begun: bool = False
    is_given_up: bool = False
    hanging_key: Hashable = None


@dataclass(slots=True)
class FileCalls:
    """Used on one event loop. Threads are started as calls need them; none keeps the process from ending."""

    patience_seconds: float = PATIENCE_SECONDS
    _jobs: "queue.SimpleQueue[_Job | None]" = field(default_factory=queue.SimpleQueue)
    _threads: int = 0
    _under_way: dict[_Call[Any], None] = field(default_factory=dict)
    _hanging: dict[Hashable, _Call[Any]] = field(default_factory=dict)
    _patience: dict[Hashable, float] = field(default_factory=dict)
    _look: asyncio.TimerHandle | None = None
    _is_quiet: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(
        self, key: Hashable, function: Callable[[], _Result], late: Callable[[_Result], object] | None = None
    ) -> _Result:
        """The result of a call that blocks. Raises what it does, and `TimeoutError` if it hangs or another of the key.

        `late` gets, on the call's thread, a result that nobody waits for any more.
        """
        if key in self._hanging:
            raise TimeoutError(self._reason(self._hanging[key]))
        outcome = self._begin(key, function, late).outcome
        try:
            return await outcome
        except asyncio.CancelledError:
            # Cancelled after the call had come back and before its result was taken.
            if late and outcome.done() and not outcome.cancelled() and not outcome.exception():
                self.later(partial(late, outcome.result()))
            raise

    def hangs(self, key: Hashable) -> bool:
        """Whether calls with that key are refused just now."""
        return key in self._hanging

    def later(self, function: Callable[[], object]) -> None:
        """Make a call that nobody waits for, such as closing a file."""
        call = self._begin("later", function, None)
        call.outcome.add_done_callback(_log_failure)

    async def close(self) -> None:
        """Wait a moment for the calls that do not hang, and end the threads. What is run afterwards starts new ones."""
        self._is_quiet.clear()
        if self._is_busy():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await self._is_quiet.wait()
        for _ in range(self._threads):
            self._jobs.put(None)
        self._jobs, self._threads = queue.SimpleQueue(), 0
        if self._look is not None:
            self._look.cancel()
            self._look = None

    def _is_busy(self) -> bool:
        return any(not call.is_given_up for call in self._under_way)

    def _begin(
        self, key: Hashable, function: Callable[[], _Result], late: Callable[[_Result], object] | None
    ) -> _Call[_Result]:
        loop = asyncio.get_running_loop()
        call = _Call(key, function, late, loop.create_future(), clock.monotonic())
        self._under_way[call] = None
        if len(self._under_way) > self._threads and self._threads < _MAX_THREADS:
            self._threads += 1
            name = f"files-{self._threads}"
            threading.Thread(target=self._work, args=(self._jobs,), name=name, daemon=True).start()
        self._jobs.put((call, loop))
        if self._look is None:
            self._look = loop.call_later(_LOOK_SECONDS, self._look_after)
        return call

    def _work(self, jobs: "queue.SimpleQueue[_Job | None]") -> None:
        """On a thread of its own."""
        while (job := jobs.get()) is not None:
            call, loop = job
            if call.is_given_up:
                continue
            _here.call = call
            call.has_begun, call.progressed_at = True, clock.monotonic()
            result: Any = None
            failure: BaseException | None = None
            try:
                result = call.function()
            except BaseException as error:  # noqa: BLE001  (raised where the call is waited for)
                failure = error
            _here.call = None
            if failure is None and call.late and (call.is_given_up or call.outcome.done()):
                call.late(result)
            # The loop may be closed by now: then nobody waits.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._ended, call, result, failure)
            del job, call, loop, result, failure

    def _ended(self, call: _Call[Any], result: Any, failure: BaseException | None) -> None:
        self._under_way.pop(call, None)
        if not self._is_busy():
            self._is_quiet.set()
        if call.is_given_up and self._hanging.get(call.hanging_key) is call:
            del self._hanging[call.hanging_key]
            log.info("a file call came back: %s", self._reason(call))
        if call.outcome.done():
            return
        if failure is not None:
            call.outcome.set_exception(failure)
        else:
            call.outcome.set_result(result)

    def _look_after(self) -> None:
        """Give up calls that hang."""
        self._look = None
        now = clock.monotonic()
        for call in list(self._under_way):
            patience = self._patience.get(call.key, self.patience_seconds)
            if not call.has_begun and self._threads >= _MAX_THREADS and now - call.asked_at > patience:
                self._turn_away(call)
            elif not call.is_given_up and now - call.progressed_at > patience:
                self._give_up(call, patience)
        if self._under_way:
            self._look = asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._look_after)

    def _turn_away(self, call: _Call[Any]) -> None:
        """No thread is left for it: all of them hang."""
        call.is_given_up = True
        del self._under_way[call]
        if not call.outcome.done():
            call.outcome.set_exception(TimeoutError(f"{_MAX_THREADS} calls on files do not come back"))

    def _give_up(self, call: _Call[Any], patience: float) -> None:
        call.is_given_up, call.hanging_key = True, call.key
        self._hanging.setdefault(call.key, call)
        self._patience[call.key] = min(2 * patience, _LONGEST_PATIENCE_SECONDS)
        if not call.outcome.done():
            call.outcome.set_exception(TimeoutError(self._reason(call)))
            # Whoever was cancelled meanwhile does not ask for it.
            call.outcome.exception()

    @staticmethod
    def _reason(call: _Call[Any]) -> str:
        return f"the file system has not answered for {clock.monotonic() - call.progressed_at:.0f} s"


def _log_failure(outcome: asyncio.Future[Any]) -> None:
    if not outcome.cancelled() and (error := outcome.exception()):
        log.info("a file call that nobody waits for failed: %s", error)
