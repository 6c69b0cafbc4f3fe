"""How many records a second, over the last few seconds."""

from collections import deque
from collections.abc import Callable

from logriver import clock
from logriver.threads import Owner

WINDOW_SECONDS = 5.0


class Rate:
    """The rate at which a number grows. `sample` is called about once a second. On the event loop."""

    def __init__(self, number: Callable[[], int]) -> None:
        self._number = number
        self._samples: deque[tuple[float, int]] = deque([(clock.monotonic(), number())])
        self._event_loop = Owner("measuring a rate")

    def sample(self) -> None:
        """Note the number as it is now."""
        self._event_loop.check()
        now = clock.monotonic()
        self._samples.append((now, self._number()))
        while len(self._samples) > 2 and now - self._samples[0][0] > WINDOW_SECONDS:
            self._samples.popleft()

    def per_second(self) -> float:
        """The mean growth over the window, rounded to one place."""
        (first, before), (last, after) = self._samples[0], self._samples[-1]
        return round((after - before) / (last - first), 1) if last > first else 0.0
