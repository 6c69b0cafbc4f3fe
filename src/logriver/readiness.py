"""Whether the server can do its work, from what must always hold: `/ready` and `problems` come from nothing else.

Records that are durable get searchable; each loop gets on; there is space on the disk; what is on it can be read. A
check looks at one of these and gives what is wrong now, in plain words without paths: `/ready` is open to all.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from logriver import clock

RECOVERY_SECONDS = 10.0
"""So long after a start the server is not ready while it catches up with what was durable before."""
IDLE_SECONDS = 10.0
"""For so long nothing was taken and nothing got searchable, though something waits."""
STALLED_SECONDS = 30.0
"""For so long nothing got searchable, whatever was taken."""

Check = Callable[[], Iterable[str]]

log = logging.getLogger(__name__)


class Waiting(Protocol):
    """The queue, as far as it must get on; `queue/wal.py` is it."""

    recovered_seq: int

    @property
    def watermark(self) -> int:
        """All numbers up to it are searchable, dead letters or skipped_ranges."""
        ...

    def stalled_seconds(self) -> tuple[float, float]:
        """For how long nothing was claimed and the watermark has not moved, and only the latter; else zeros."""
        ...


class Readiness:
    """`needed` are checks of what taking and storing records needs, `others` of what is shown beside. For any thread.

    The checks must not block.
    """

    def __init__(self, queue: Waiting, needed: Sequence[Check], others: Sequence[Check]) -> None:
        self._queue = queue
        self._needed = [*needed, self._stalled]
        self._others = others
        self._until = clock.monotonic() + RECOVERY_SECONDS
        self._is_recovering = True

    def not_ready(self) -> list[str]:
        """Why records cannot be taken, stored and found; empty if they can."""
        return [*self._recovering(), *_found(self._needed)]

    def problems(self) -> list[str]:
        """All that is wrong, also what does not keep the server from its work."""
        return _found([*self._needed, *self._others])

    def _recovering(self) -> list[str]:
        """Only once after a start: later the watermark is behind what was durable at the start no more."""
        if self._is_recovering:
            left = self._queue.recovered_seq - self._queue.watermark
            self._is_recovering = left > 0 and clock.monotonic() < self._until
            if self._is_recovering:
                return [f"recovering: {left} records from before the start are not searchable yet"]
        return []

    def _stalled(self) -> list[str]:
        idle, stalled = self._queue.stalled_seconds()
        if idle < IDLE_SECONDS and stalled < STALLED_SECONDS:
            return []
        return [f"records wait to be stored, and for {stalled:.0f} s none got searchable"]


def _found(checks: Iterable[Check]) -> list[str]:
    found: dict[str, None] = {}
    for check in checks:
        try:
            found |= dict.fromkeys(check())
        except Exception as error:
            # That nothing can be said is a problem too, and must not hide the others.
            log.warning("a check of the server failed", exc_info=error)
            found[f"a check of the server failed: {type(error).__name__}, the internal log says why"] = None
    return list(found)
