"""Ranges on their way to the disk: none is kept behind one that is not."""

from typing import Generic, TypeVar

Key = TypeVar("Key")


class InFlight(Generic[Key]):
    """Ranges that were begun and are neither durable nor failed, by the file or stream that they are of.

    Those of one key follow each other, and end in that order. When one fails, those behind it would be kept without
    what is before them: until all of them have failed too, the key is broken, and nothing of it may begin. Guarded by
    the log's lock.
    """

    def __init__(self) -> None:
        self._begun: dict[Key, list[tuple[int, int]]] = {}
        self._broken: set[Key] = set()

    @property
    def any_broken(self) -> bool:
        """Whether any key is."""
        return bool(self._broken)

    def is_broken(self, key: Key) -> bool:
        """Whether what was begun of the key must not be kept."""
        return key in self._broken

    def may_begin(self, key: Key, start: int, durable: int) -> bool:
        """Whether a range continues what is on its way, or what is durable where nothing is."""
        begun = self._begun.get(key)
        return key not in self._broken and start == (begun[-1][1] if begun else durable)

    def begin(self, key: Key, start: int, end: int) -> None:
        """A range, which may begin, is on its way."""
        self._begun.setdefault(key, []).append((start, end))

    def ended(self, key: Key, start: int, end: int) -> None:
        """A range is durable. One that was not begun here was read from the log."""
        begun = self._begun.get(key)
        if begun and (start, end) in begun:
            begun.remove((start, end))
        if not begun:
            self._begun.pop(key, None)
            self._broken.discard(key)

    def failed(self, key: Key, start: int, end: int) -> bool:
        """A range is not durable and will never be. Whether nothing more of the key is on its way."""
        self.ended(key, start, end)
        if key not in self._begun:
            return True
        self._broken.add(key)
        return False
