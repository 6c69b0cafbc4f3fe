"""A bound of time for an example of a property test that a busy machine does not break."""

import functools
import time
from collections.abc import Callable
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
