"""The connections of one listener: how many there may be, who has to go when there are too many, and who is too slow.

Each connection has a file descriptor, which the engine and the log need too. So a listener has a budget; when it is
spent, the oldest connection goes that was never let in, such as one whose first request is still incomplete; then one
that is idle. A connection that was let in and has a request under way is never ended for another one.

Deadlines are looked after by one timer for all connections instead of one for each request, which costs nothing where
requests are quick.
"""

import asyncio
import logging
from collections import OrderedDict
from dataclasses import dataclass
from typing import Protocol

from logriver import metrics

_LONGEST_BETWEEN_LOOKS = 1.0
_LOG_AGAIN_SECONDS = 60.0
_FULL_SECONDS = 0.1
# What incomplete heads may hold together.
_MOST_HEAD_BYTES = 16 * 1024 * 1024

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Patience:
    """For how many seconds the server waits for a peer: for all that comes from one who was not let in; of one who was,
    for a head, for more of a body, and for being read."""

    stranger: float = 10.0
    head: float = 30.0
    body: float = 30.0
    reader: float = 60.0


class Connection(Protocol):
    """A connection, as far as its listener is concerned with it. Compared by identity."""

    def is_known(self) -> bool:
        """Whether a request of it was let in."""
        ...

    def is_idle(self) -> bool:
        """Whether nothing is under way on it."""
        ...

    def check(self, now: float) -> None:
        """End it, with an answer where one is possible, if its peer is too slow."""
        ...

    def end(self) -> None:
        """Close it at once."""
        ...


class Connections:
    """On the event loop. `most` is the budget."""

    def __init__(self, most: int, patience: Patience) -> None:
        self.patience = patience
        self._most = most
        self._strangers: OrderedDict[Connection, None] = OrderedDict()
        self._known: OrderedDict[Connection, None] = OrderedDict()
        self._head_bytes: dict[Connection, int] = {}
        self._sum_head_bytes = 0
        self._full_until = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._logged_at: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._strangers) + len(self._known)

    def add(self, connection: Connection) -> None:
        """A connection begins."""
        if connection not in self._known:
            self._strangers[connection] = None
        if self._timer is None:
            self._look_later()

    def remove(self, connection: Connection) -> None:
        """A connection ended."""
        self._strangers.pop(connection, None)
        self._known.pop(connection, None)
        self.holds(connection, 0)

    def replace(self, old: Connection, new: Connection) -> None:
        """Another object stands for the connection from now on."""
        self.remove(old)
        self.add(new)

    def holds(self, connection: Connection, size: int) -> None:
        """So many bytes of an incomplete head are kept for `connection`."""
        self._sum_head_bytes += size - self._head_bytes.pop(connection, 0)
        if size:
            self._head_bytes[connection] = size
            while self._sum_head_bytes > _MOST_HEAD_BYTES:
                oldest = next(iter(self._head_bytes))
                self._end(next((one for one in self._head_bytes if one in self._strangers), oldest), "head_bytes")

    def make_space(self) -> bool:
        """Whether one more connection fits, after another one was ended for it if need be."""
        if len(self) < self._most:
            return True
        now = asyncio.get_running_loop().time()
        evicted = None if now < self._full_until else self._oldest_stranger() or self._some_idle()
        if evicted is None:
            # Nobody looks through all of them again for each of a flood of others.
            if now >= self._full_until:
                self._full_until = now + _FULL_SECONDS
            self.note_end("no_space")
            return False
        self._end(evicted, "budget")
        return True

    def note_end(self, reason: str) -> None:
        """Count a connection that the server ends, and log it now and then: strangers must not fill the log."""
        metrics.connections_ended.labels(reason=reason).inc()
        now = asyncio.get_running_loop().time()
        if now - self._logged_at.get(reason, -_LOG_AGAIN_SECONDS) >= _LOG_AGAIN_SECONDS:
            self._logged_at[reason] = now
            log.warning("a connection was ended", extra={"fields": {"reason": reason, "connections": len(self)}})

    def _end(self, connection: Connection, reason: str) -> None:
        self.remove(connection)
        self.note_end(reason)
        connection.end()

    def _oldest_stranger(self) -> Connection | None:
        while self._strangers:
            oldest = next(iter(self._strangers))
            if not oldest.is_known():
                return oldest
            self._get_known(oldest)
        return None

    def _some_idle(self) -> Connection | None:
        """Those that are not idle are asked last the next time: each look is short, however many there are."""
        for _ in range(len(self._known)):
            oldest = next(iter(self._known))
            if oldest.is_idle():
                return oldest
            self._known.move_to_end(oldest)
        return None

    def _get_known(self, connection: Connection) -> None:
        del self._strangers[connection]
        self._known[connection] = None

    def _look_later(self) -> None:
        patience = self.patience
        least = min(patience.stranger, patience.head, patience.body, patience.reader)
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(min(_LONGEST_BETWEEN_LOOKS, least / 4), self._look)

    def _look(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        for connection in [*self._strangers, *self._known]:
            try:
                connection.check(now)
            except Exception:
                log.exception("a connection could not be looked after and is ended")
                self._end(connection, "failure")
        for connection in [connection for connection in self._strangers if connection.is_known()]:
            self._get_known(connection)
        if len(self):
            self._look_later()
