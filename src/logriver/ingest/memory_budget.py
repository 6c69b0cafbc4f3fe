"""How much of what is being received may be in memory at one time, whatever the protocol."""

import threading

from logriver import metrics
from logriver.errors import Overloaded


class MemoryBudget:
    """A number of bytes to be shared by all requests. For any thread."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._reserved = 0
        self._lock = threading.Lock()

    def reserve(self, size: int) -> None:
        """Take `size` bytes. Raises `Overloaded` if they are not free."""
        with self._lock:
            if self._reserved + size > self._max_bytes:
                metrics.turned_away.labels(reason="inflight").inc()
                raise Overloaded("too many bytes are being received", hint="send fewer bodies at one time")
            self._reserved += size

    def release(self, size: int) -> None:
        """Give `size` bytes back."""
        with self._lock:
            self._reserved -= size


class Reservation:
    """`with Reservation(budget): ..` for one request: what it took is given back at the end, however it ends."""

    def __init__(self, budget: MemoryBudget) -> None:
        self._budget = budget
        self._size = 0

    def __enter__(self) -> "Reservation":
        return self

    def __exit__(self, *error: object) -> None:
        self._budget.release(self._size)

    def grow_to(self, size: int) -> None:
        """Have at least `size` bytes. Raises `Overloaded`."""
        if size > self._size:
            self._budget.reserve(size - self._size)
            self._size = size

    def grow_by(self, size: int) -> None:
        """Have `size` bytes more. Raises `Overloaded`."""
        self.grow_to(self._size + size)

    def shrink_by(self, size: int) -> None:
        """Give back `size` of the bytes."""
        self._budget.release(size)
        self._size -= size
