"""Sessions of the embedded engine, lent to whichever thread asks.

Threads come and go, an engine's session is not bound to one: what lies idle is lent again, the last returned first, so
that a burst leaves no more than a few open. Lending one costs microseconds, opening one about a millisecond.

A session in which something failed is never lent again: the engine leaves the output of a query that was broken off in
the session and puts it before the answer of the next one.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from logriver import clock
from logriver.errors import StoreError
from logriver.store.engine import Session

_MAX_IDLE = 16
_CLOSE_SECONDS = 10.0
_ALONE_SECONDS = 2.0
_SETTINGS = {
    "enable_extended_results_for_datetime_functions": 1,
    # The newest records are read in the order of the key; to ask the index of times first, which granules may hold
    # them, costs a quarter of such a page.
    "use_skip_indexes_for_top_k": 0,
    # Asked while the rows are read, granule by granule, the indexes take a quarter longer to find an id.
    "use_skip_indexes_on_data_read": 0,
    # A gigabyte of the engine's memory for each thread, as it is by itself, would be one thread on a machine with 8. A
    # query may take a quarter of that memory; these leave each of its threads 50 MB.
    "max_threads_min_free_memory_per_thread": 200_000_000,
}
_SETUP = f"SET {', '.join(f'{name} = {value}' for name, value in _SETTINGS.items())}"


class Sessions:
    """The sessions of one engine. For any thread."""

    def __init__(self, address: str) -> None:
        self._address = address
        # Never lent: the engine stops when its last session closes.
        self._anchor = Session(address)
        self._idle: list[Session] = []
        self._lent = 0
        self._closed = False
        self._owner: int | None = None
        self._changed = threading.Condition()

    @contextmanager
    def lend(self) -> Iterator[Session]:
        """A session that nobody else uses inside of this block. Raises `StoreError` once the store is closed."""
        session = self._take()
        try:
            yield session
        except BaseException:
            session.close()
            self._give_back(None)
            raise
        self._give_back(session)

    @contextmanager
    def alone(self, hurry: Callable[[], object]) -> Iterator[None]:
        """Inside of this block sessions are lent to this thread alone; others wait.

        What is running is waited for; `hurry` ends it when that takes long. Raises `StoreError` if it does not end.
        """
        with self._changed:
            self._owner = threading.get_ident()
        try:
            if not self._none_lent():
                hurry()
                if not self._none_lent():
                    raise StoreError("queries do not end that the store waits for")
            yield
        finally:
            with self._changed:
                self._owner = None
                self._changed.notify_all()

    def _none_lent(self) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: not self._lent, _ALONE_SECONDS)

    def close(self) -> bool:
        """Close every session; what is running is waited for, up to ten seconds. Whether everything has ended."""
        deadline = clock.monotonic() + _CLOSE_SECONDS
        with self._changed:
            self._closed = True
            while self._lent and (rest := deadline - clock.monotonic()) > 0:
                self._changed.wait(rest)
            while self._idle:
                self._idle.pop().close()
            if not self._lent:
                self._anchor.close()
            return not self._lent

    def _take(self) -> Session:
        with self._changed:
            self._changed.wait_for(lambda: self._owner in (None, threading.get_ident()))
            if self._closed:
                raise StoreError("the store is closed")
            self._lent += 1
            if self._idle:
                return self._idle.pop()
        try:
            session = Session(self._address)
            session.query(_SETUP)
        except BaseException:
            self._give_back(None)
            raise
        return session

    def _give_back(self, session: Session | None) -> None:
        with self._changed:
            self._lent -= 1
            self._changed.notify_all()
            if session is not None and not self._closed and len(self._idle) < _MAX_IDLE:
                self._idle.append(session)
                return
        if session is not None:
            session.close()
