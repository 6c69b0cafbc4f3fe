"""Dead letters: what was taken and cannot be stored, kept until somebody replays it or newer ones need the space.

A replay is a batch that carries the dead letter's number. From the moment it is durable the dead letter counts as gone,
whatever the file says: it is neither shown nor replayed nor kept again. That is remembered, at first by the log, whose
header says it, and from a snapshot on by the dead letter's absence: the number may be forgotten once the watermark that
was saved has passed it, because then no run that has it comes again.
"""

import logging
import sqlite3
import threading

from logriver.queue.base import DeadLetter
from logriver.queue.state import State

MAX_PAGE_BYTES = 8_000_000

log = logging.getLogger(__name__)


class DeadLetters:
    """The dead letters in the state file, without those that were replayed. For any thread."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._lock = threading.Lock()
        self._replayed: set[int] = set()

    def dead_letter(self, dead_letters: list[DeadLetter]) -> None:
        """See `Queue.dead_letter`. A dead letter that was replayed stays gone."""
        with self._lock:
            dead_letters = [dead_letter for dead_letter in dead_letters if dead_letter.seq not in self._replayed]
        self._state.dead_letter(dead_letters)

    def dead_lettered(self, first_seq: int, last_seq: int) -> set[int]:
        """See `Queue.dead_lettered`. A replayed dead letter is one too: its number must not be stored a second time."""
        with self._lock:
            replayed = {seq for seq in self._replayed if first_seq <= seq <= last_seq}
        return self._state.dead_lettered(first_seq, last_seq) | replayed

    def page(self, before: int | None, limit: int) -> list[DeadLetter]:
        """The newest dead letters below `before`; fewer than `limit`, but at least one, if they are large."""
        found = self._state.dead_letters_before(before, limit, MAX_PAGE_BYTES)
        with self._lock:
            return [dead_letter for dead_letter in found if dead_letter.seq not in self._replayed]

    def get(self, seq: int) -> DeadLetter | None:
        """One dead letter, if it is there and was not replayed."""
        with self._lock:
            if seq in self._replayed:
                return None
        return self._state.find_dead_letter(seq)

    def replayed(self, seq: int) -> None:
        """A batch that replays the dead letter is durable."""
        with self._lock:
            self._replayed.add(seq)

    def remove(self, seq: int) -> None:
        """Remove a replayed dead letter now. Where the disk does not let us, the next snapshot does it."""
        try:
            self._state.remove_dead_letters([seq])
        except sqlite3.Error as error:
            log.warning("a replayed dead letter stays for now", extra={"fields": {"seq": seq, "error": str(error)}})

    def replays(self) -> list[int]:
        """The dead letters that the next snapshot removes."""
        with self._lock:
            return list(self._replayed)

    def saved(self, replays: list[int], watermark: int) -> None:
        """A snapshot with this watermark has removed them."""
        with self._lock:
            self._replayed -= {seq for seq in replays if seq <= watermark}
