"""How often each field was read by queries within about the last hour."""

import threading
from collections import Counter, deque
from collections.abc import Callable

from logriver import clock

WINDOW_SECONDS = 3_600.0
_SLOTS = 6
# Names come from whoever asks.
_MAX_KEYS = 1_000
_MAX_KEY_CHARACTERS = 200


class FieldUses:
    """Counts by field, in slots of ten minutes of which the oldest is forgotten. For any thread."""

    def __init__(self, now: Callable[[], float] = clock.monotonic) -> None:
        self._now = now
        self._slots: deque[Counter[str]] = deque([Counter()], maxlen=_SLOTS)
        self._slot_ends = now() + WINDOW_SECONDS / _SLOTS
        self._lock = threading.Lock()

    def note(self, key: str) -> None:
        """A query reads this field. Of names that are very many or very long none is counted."""
        with self._lock:
            newest = self._newest()
            if key in newest or (len(newest) < _MAX_KEYS and len(key) <= _MAX_KEY_CHARACTERS):
                newest[key] += 1

    def counts(self) -> Counter[str]:
        """Queries by field."""
        with self._lock:
            self._newest()
            return sum(self._slots, Counter())

    def forget(self, key: str) -> None:
        """Begin to count this field anew."""
        with self._lock:
            for slot in self._slots:
                slot.pop(key, None)

    def _newest(self) -> Counter[str]:
        while self._now() >= self._slot_ends:
            self._slots.append(Counter())
            self._slot_ends += WINDOW_SECONDS / _SLOTS
        return self._slots[-1]
