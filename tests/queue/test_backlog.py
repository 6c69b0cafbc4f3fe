"""When the backlog hands records over: at once after a pause, and at a pace that the store can keep."""

import time
from pathlib import Path

from logriver.queue.backlog import Backlog
from logriver.queue.base import ClaimedBatch
from logriver.queue.wal_segment import Extent

LARGE = 10**9


def taken_at(seconds_each: float, count: int) -> list[float]:
    """When blocks are taken that take so long to store, of a linger of 1 s and one record that always waits."""
    backlog, taken = Backlog(0, 0), []
    time.sleep(0.3)
    began = time.monotonic()
    for number in range(1, count + 1):
        backlog.add([Extent(Path(), number - 1, number, number, number)])
        assert [(extent.first_seq, extent.last_seq) for extent in backlog.poll(LARGE, LARGE, 1.0)] == [(number, number)]
        taken.append(time.monotonic() - began)
        time.sleep(seconds_each)
        backlog.ack(ClaimedBatch(number, number, 1, in_doubt=False))
    return taken


def test_what_comes_after_a_pause_is_taken_at_once_and_then_blocks_are_apart() -> None:
    first, second, third = taken_at(0.0, 3)
    assert first < 0.15
    assert 0.24 <= second - first < 0.4
    assert 0.24 <= third - second < 0.4


def test_blocks_that_take_long_are_farther_apart() -> None:
    times = taken_at(0.06, 6)
    assert 0.3 <= times[-1] - times[-2] < 0.48


def test_blocks_are_never_apart_for_more_than_half_of_the_longest_wait() -> None:
    times = taken_at(0.2, 4)
    assert 0.49 <= times[-1] - times[-2] < 0.7


def test_what_fills_a_quarter_waits_for_more_and_what_is_full_does_not_wait() -> None:
    backlog = Backlog(0, 0)
    began = time.monotonic()
    backlog.add([Extent(Path(), 0, 1, 1, 30)])
    assert backlog.poll(100, LARGE, 1.0)
    assert 0.99 <= time.monotonic() - began < 1.3
    backlog.add([Extent(Path(), 1, 2, 31, 130)])
    assert backlog.poll(100, LARGE, 1.0)
    assert time.monotonic() - began < 1.4
