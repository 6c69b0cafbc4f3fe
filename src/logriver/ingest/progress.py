"""Whether a peer keeps the server waiting: nothing moves any more, or so little that it makes no difference."""

LEAST_BYTES_PER_SECOND = 1_000
"""Less than this, over a whole window, is as good as nothing."""


class Progress:
    """Watches an amount of bytes that grows. Any number of bytes may come in any time, as long as some do.

    `is_late` is to be asked a few times in each window; `seconds` is the length of one.
    """

    def __init__(self, now: float, amount: int) -> None:
        self.amount = amount
        self._moved_at = self._window_at = now
        self._window_amount = amount

    def is_late(self, now: float, amount: int, seconds: float) -> bool:
        """Whether nothing came for `seconds`, or too little on average over a window of them."""
        if amount != self.amount:
            self._moved_at = now
        self.amount = amount
        if now - self._moved_at >= seconds:
            return True
        passed = now - self._window_at
        if passed < seconds:
            return False
        moved = amount - self._window_amount
        self._window_at, self._window_amount = now, amount
        return moved < LEAST_BYTES_PER_SECOND * passed
