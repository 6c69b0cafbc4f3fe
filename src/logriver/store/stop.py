"""Stopping a query from outside of the thread that runs it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from logriver.errors import StoreError


class Stop:
    """Given to one query in its `Limits`; whoever asked ends the query with it.

    Being asked to end is not having ended: a slot is free when the store's call has returned, so `kill` is called again
    and again until then.
    """

    def __init__(self) -> None:
        self._wanted = False
        self._killer: Callable[[], None] | None = None

    def kill(self) -> None:
        """Ask the store to end the query, also one that has not begun. May block for some milliseconds."""
        self._wanted = True
        killer = self._killer
        if killer is not None:
            killer()

    @contextmanager
    def by(self, killer: Callable[[], None]) -> Iterator[None]:
        """For the store: inside of the block `killer` ends the query. Raises `StoreError` if it is to end already."""
        self._killer = killer
        try:
            if self._wanted:
                raise StoreError("the query was cancelled before it began")
            yield
        finally:
            self._killer = None
