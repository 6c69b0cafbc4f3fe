"""Bounds of time that a busy machine does not break: of an example of a property test, and of another process."""

import functools
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec

_SECONDS = 0.2
_TRIES = 3

Given = ParamSpec("Given")


def within_cpu_time(test: Callable[Given, None]) -> Callable[Given, None]:
    """Each example may take 0.2 s of this thread's CPU, what hypothesis allows on the clock: below `@given`.

    By the clock an example that takes half a millisecond fails when the machine does something else for as long. An
    example over the bound is run again: what is slow by itself is slow each time, and the collection of the whole
    run's garbage, which falls to whichever example allocates next, is not there twice.
    """

    @functools.wraps(test)
    def timed(*args: Given.args, **kwargs: Given.kwargs) -> None:
        for _ in range(_TRIES):
            started = time.thread_time()
            test(*args, **kwargs)
            used = time.thread_time() - started
            if used < _SECONDS:
                return
        raise AssertionError(f"{used:.3f} s of CPU for one example, {_TRIES} times")

    return timed


def cpu_seconds_of(pid: int) -> float:
    """What a process has used so far, by all of its threads."""
    # The name, which may hold anything, stands in brackets before the third field; the 14th and 15th are the times.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
