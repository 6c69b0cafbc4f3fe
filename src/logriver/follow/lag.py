"""For how long the oldest byte of a file that is not committed yet has been there.

Each look at the file's size is remembered until everything that was seen then is committed: a file that always grows
and is always read a moment later is not behind, one that is read a minute later is.
"""

from logriver import clock

_MOST_LOOKS = 64


class Lag:
    """Of one file. Used on one event loop."""

    def __init__(self) -> None:
        # Sizes that grew from look to look, and when each was seen first.
        self._looks: list[tuple[int, float]] = []

    def look(self, size: int, held_end: int) -> None:
        """The file has so many bytes now, and so many of them are committed."""
        if self._looks and size < self._looks[-1][0]:
            self._looks = []
        self._looks = [look for look in self._looks if look[0] > held_end]
        if size > held_end and (not self._looks or size > self._looks[-1][0]):
            self._looks.append((size, clock.monotonic()))
        if len(self._looks) > _MOST_LOOKS:
            # Two become one with the size of the later and the time of the earlier: never less than it is.
            pairs = zip(self._looks[::2], self._looks[1::2], strict=False)
            self._looks = [(size, seen_at) for (_, seen_at), (size, _) in pairs] + self._looks[-1:]

    def seconds(self, held_end: int) -> float:
        """Since when bytes beyond `held_end` have been seen, 0 where none were."""
        first = next((seen_at for size, seen_at in self._looks if size > held_end), None)
        return 0.0 if first is None else clock.monotonic() - first
