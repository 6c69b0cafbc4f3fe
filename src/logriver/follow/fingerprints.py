"""The first bytes of the files that are read now: asked, of thousands, for those that a file may be a copy of."""

from bisect import bisect_left, insort
from collections import Counter


class Fingerprints:
    """First bytes by key."""

    def __init__(self) -> None:
        self._keys: dict[bytes, dict[str, None]] = {}
        self._sorted: list[bytes] = []
        self._lengths: Counter[int] = Counter()

    def add(self, key: str, head: bytes) -> None:
        """`key` begins so."""
        if head not in self._keys:
            self._keys[head] = {}
            insort(self._sorted, head)
            self._lengths[len(head)] += 1
        self._keys[head][key] = None

    def remove(self, key: str, head: bytes) -> None:
        """What was added is no more."""
        del self._keys[head][key]
        if not self._keys[head]:
            del self._keys[head], self._sorted[bisect_left(self._sorted, head)]
            self._lengths -= Counter((len(head),))

    def alike(self, head: bytes) -> list[str]:
        """The keys of those that begin as `head` does, as far as the shorter of the two goes."""
        beginnings = [head[:length] for length in self._lengths if length <= len(head)]
        found = [key for beginning in beginnings for key in self._keys.get(beginning, ())]
        # What begins with `head` stands together in the order.
        for index in range(bisect_left(self._sorted, head + b"\0"), len(self._sorted)):
            longer = self._sorted[index]
            if not longer.startswith(head):
                break
            found += self._keys[longer]
        return found
