"""The newest so many of what is found, as far as it was found."""

import heapq


class Newest:
    """Says of each found time whether it may be among the newest `most`."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._times_ns: list[int] = []

    @property
    def floor_ns(self) -> int | None:
        """What is not newer is not wanted any more; None while there are not enough."""
        return self._times_ns[0] if len(self._times_ns) == self._most else None

    def takes(self, time_ns: int) -> bool:
        """Whether one of that time is wanted; it counts then."""
        if len(self._times_ns) < self._most:
            heapq.heappush(self._times_ns, time_ns)
            return True
        if time_ns <= self._times_ns[0]:
            return False
        heapq.heapreplace(self._times_ns, time_ns)
        return True
