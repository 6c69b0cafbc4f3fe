"""How fast lines come: so many at a time, at fixed moments."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from logriver import clock

MAX_BATCH_LINES = 2000
"""Lines handed on at one time; below a megabyte in every format."""


@dataclass(frozen=True, slots=True)
class Pace:
    """`lines` every `interval_seconds`; an interval of 0 is as fast as it goes."""

    lines: int
    interval_seconds: float

    @property
    def step_ns(self) -> int:
        """How far apart in time two lines are."""
        return int(self.interval_seconds * 1e9 / self.lines)


UNPACED = Pace(MAX_BATCH_LINES, 0.0)


def of_rate(lines_per_second: float) -> Pace:
    """About twenty batches a second, or single lines where the rate is below that."""
    lines = max(1, round(lines_per_second / 20))
    return Pace(lines, lines / lines_per_second)


def batches(
    lines: Iterator[bytes], pace: Pace, stop: threading.Event, count: int | None = None
) -> Iterator[list[bytes]]:
    """Take `count` lines (None: without end) in batches, at the moments that `pace` sets, until `stop` is set.

    Who is held up (by a slow disk or server) gets the missed batches at once, so that the rate holds over time.
    """
    began = clock.monotonic()
    left = count
    tick = 0
    while left is None or left > 0:
        due = began + tick * pace.interval_seconds
        if stop.wait(max(0.0, due - clock.monotonic())):
            return
        in_tick = pace.lines if left is None else min(pace.lines, left)
        for size in _sizes(in_tick):
            if stop.is_set():
                return
            yield list(islice(lines, size))
        left = None if left is None else left - in_tick
        tick += 1


def _sizes(total: int) -> Iterator[int]:
    while total > 0:
        size = min(total, MAX_BATCH_LINES)
        yield size
        total -= size
