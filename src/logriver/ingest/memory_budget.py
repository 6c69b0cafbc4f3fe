"""How much of what is being received may be in memory at one time."""

import threading

from logriver import metrics
from logriver.errors import Overloaded


class Inflight:
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
    """`with inflight: ..` for one request: what it took is given back at the end, however it ends."""

    def __init__(self, inflight: Inflight) -> None:
        self._inflight = inflight
        self._size = 0

    def __enter__(self) -> "Reservation":
        return self

    def __exit__(self, *error: object) -> None:
        self._inflight.release(self._size)

    def grow_to(self, size: int) -> None:
        """Have at least `size` bytes. Raises `Overloaded`."""
        if size > self._size:
            self._inflight.reserve(size - self._size)
            self._size = size
