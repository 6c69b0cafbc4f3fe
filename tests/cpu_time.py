"""A bound of time for an example of a property test that a busy machine does not break."""

import functools
import time
from collections.abc import Callable
from typing import ParamSpec

_SECONDS = 0.2

Given = ParamSpec("Given")


def within_cpu_time(test: Callable[Given, None]) -> Callable[Given, None]:
    """Each example may take 0.2 s of this thread's CPU, what hypothesis allows on the clock: below `@given`.

    By the clock an example that takes half a millisecond fails when the machine does something else for as long.
    """

    @functools.wraps(test)
    def timed(*args: Given.args, **kwargs: Given.kwargs) -> None:
        started = time.thread_time()
        test(*args, **kwargs)
        used = time.thread_time() - started
        assert used < _SECONDS, f"{used:.3f} s of CPU for one example"

    return timed
