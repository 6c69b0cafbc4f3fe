"""Loops go on whatever their turns raise, say what is wrong, and their stops have a bound."""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Iterator

import pytest

from logriver import clock, metrics, threads
from logriver.errors import Overloaded
from logriver.threads import Owner, SupervisedTask, SupervisedThread


def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    deadline = clock.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        assert clock.monotonic() < deadline, "it did not come"
        pause.wait(0.005)


def failures(loop: str) -> float:
    return metrics.REGISTRY.get_sample_value("logriver_loop_failures_total", {"loop": loop}) or 0.0


@contextlib.contextmanager
def running(loop: SupervisedThread, turn: Callable[[], float | None]) -> Iterator[None]:
    loop.start(turn)
    try:
        yield
    finally:
        assert loop.stop(10)


@pytest.mark.parametrize(
    "error", [OSError("no"), MemoryError(), SystemExit(1), KeyboardInterrupt(), asyncio.CancelledError()], ids=repr
)
def test_a_thread_survives_whatever_a_turn_raises(error: BaseException) -> None:
    turns: list[float] = []
    good = threading.Event()

    def turn() -> float:
        turns.append(clock.monotonic())
        if not good.is_set():
            raise error
        return 0.01

    before = failures("surviving")
    loop = SupervisedThread("surviving", "things are not done", first_backoff_seconds=0.01, last_backoff_seconds=0.04)
    with running(loop, turn):
        until(lambda: len(turns) >= 4)
        assert loop.problems == [f"things are not done, trying again: {str(error) or type(error).__name__}"]
        good.set()
        until(lambda: not loop.problems)
    assert failures("surviving") - before >= 3
    assert turns[3] - turns[2] >= 0.04 > turns[1] - turns[0] - 0.03, "each try comes later than the one before"


def test_a_failure_is_said_once_and_cut_short(caplog: pytest.LogCaptureFixture) -> None:
    turns: list[int] = []

    def turn() -> float:
        turns.append(1)
        raise OSError("x" * 10_000)

    loop = SupervisedThread("said", "things are not done", first_backoff_seconds=0.001, last_backoff_seconds=0.001)
    with caplog.at_level(logging.WARNING), running(loop, turn):
        until(lambda: len(turns) > 20)
        assert len(loop.problems[0]) < 300
    [said] = [record for record in caplog.records if record.name == "logriver.threads"]
    assert said.getMessage() == f"things are not done, trying again: {'x' * 200}"


def test_failing_to_say_what_failed_ends_no_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    turns: list[int] = []

    def no_memory(*_: object) -> None:
        raise MemoryError

    def turn() -> float:
        turns.append(1)
        raise MemoryError

    monkeypatch.setattr(threads.Loop, "_say", no_memory)
    loop = SupervisedThread("mute", "things are not done", first_backoff_seconds=0.001, last_backoff_seconds=0.001)
    with running(loop, turn):
        until(lambda: len(turns) > 5)
        assert loop.problems == ["things are not done, trying again: MemoryError"]


def test_who_is_overloaded_says_when_to_come_again() -> None:
    turns: list[int] = []

    def turn() -> float:
        turns.append(1)
        raise Overloaded("full", retry_after_seconds=600)

    loop = SupervisedThread("patient", "things are not done", first_backoff_seconds=0.001)
    with running(loop, turn):
        until(lambda: loop.problems)
        threading.Event().wait(0.05)
        assert len(turns) == 1


def test_a_loop_that_does_not_get_on_is_a_problem_and_one_that_waits_for_work_is_none() -> None:
    steps: dict[str, threading.Event] = {name: threading.Event() for name in ("hang", "in_idle", "idle", "end")}

    def turn() -> float | None:
        steps["hang"].wait(10)
        threads.beat()
        with threads.idle():
            steps["in_idle"].set()
            steps["idle"].wait(10)
        steps["end"].wait(10)
        return None

    loop = SupervisedThread("slow", "things are not done", late_seconds=0.05)
    assert loop.problems == [], "it has not begun"
    loop.start(turn)
    late = "things are not done: loop 'slow' has not gone on for 0 s"
    until(lambda: loop.problems == [late])
    steps["hang"].set()
    steps["in_idle"].wait(10)
    threading.Event().wait(0.1)
    assert loop.problems == []
    steps["idle"].set()
    until(lambda: loop.problems == [late])
    steps["end"].set()
    assert loop.join(10)
    assert loop.problems == [], "one that has ended is none"


def test_a_stop_has_a_bound(caplog: pytest.LogCaptureFixture) -> None:
    release = threading.Event()

    def turn() -> float:
        release.wait(60)
        return 1000.0

    loop = SupervisedThread("stuck", "things are not done")
    loop.start(turn)
    started = clock.monotonic()
    assert not loop.stop(0.1)
    assert clock.monotonic() - started < 5
    assert "loop 'stuck' does not end" in caplog.text
    release.set()
    assert loop.stop(10), "a pause ends with the stop"
    assert not threads.ends_within(0.05, "hanging", lambda: threading.Event().wait(1))


def test_a_task_survives_errors_and_stray_cancellations() -> None:
    turns: list[int] = []
    fourth = asyncio.Event()

    async def turn() -> float | None:
        turns.append(1)
        if len(turns) == 1:
            raise MemoryError
        if len(turns) == 2:
            inner = asyncio.ensure_future(asyncio.sleep(10))
            inner.cancel()
            await inner
        if len(turns) == 3:
            return 0.0
        fourth.set()
        await asyncio.sleep(1000)
        return None

    async def run() -> None:
        loop = SupervisedTask("task", "things are not done", first_backoff_seconds=0.001, late_seconds=None)
        loop.start(turn)
        await asyncio.wait_for(fourth.wait(), 10)
        assert loop.problems == []
        assert await loop.stop(10)

    before = failures("task")
    asyncio.run(run())
    assert failures("task") - before == 2


def test_a_task_that_does_not_hear_its_cancelling_is_left(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        release = asyncio.Event()

        async def turn() -> None:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(1000)
            await release.wait()

        loop = SupervisedTask("deaf", "things are not done")
        loop.start(turn)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not await loop.stop(0.05)
        release.set()
        assert await loop.stop(10)

    asyncio.run(run())
    assert "loop 'deaf' does not end" in caplog.text


def test_what_belongs_to_a_thread_is_not_used_by_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "OWNERS_ARE_CHECKED", True)
    owner = Owner("the segment")
    thread = threading.Thread(target=owner.check, name="first")
    thread.start()
    thread.join()
    owner.check()  # the first has ended
    errors: list[BaseException] = []

    def use() -> None:
        try:
            owner.check()
        except AssertionError as error:
            errors.append(error)

    thread = threading.Thread(target=use, name="second")
    thread.start()
    thread.join()
    assert [str(error) for error in errors] == ["the segment belongs to 'MainThread' and is used by 'second'"]
    monkeypatch.setattr(threads, "OWNERS_ARE_CHECKED", False)
    thread = threading.Thread(target=owner.check)
    thread.start()
    thread.join()
