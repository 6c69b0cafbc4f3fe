"""Which offsets of which stream are on disk: what `ledger.py` is for files, for sources that number their records.

Compare and append, as for files: a range is taken only if it starts where the one before ended. Offsets inside of it
may be missing, because streams skip some; that a whole batch is missing is noticed all the same.
"""

from collections.abc import Iterable

from logriver.errors import RangeConflict
from logriver.queue.in_flight import InFlight
from logriver.record import CommittedStream, Stream, StreamRange

FORGET_AFTER_NS = 30 * 86_400 * 1_000_000_000
"""So long after another epoch of its stream has come, an epoch is forgotten."""


class Streams:
    """In memory, filled from the last snapshot and the log's headers. Guarded by the log's lock."""

    def __init__(self, committed: Iterable[CommittedStream]) -> None:
        self._committed = {entry.stream: entry for entry in committed}
        self.in_flight = InFlight[Stream]()
        self._changed: dict[Stream, CommittedStream] = {}
        self._forgotten: list[Stream] = []

    def begin(self, range: StreamRange) -> None:
        """A range is about to be written. Raises `RangeConflict` unless it continues what is there or on its way."""
        known = self._committed.get(range.stream)
        durable = known.end if known else 0
        if not self.in_flight.may_begin(range.stream, range.start, durable) or range.end < range.start:
            raise RangeConflict(
                f"range of stream {range.stream.name[-200:]!r} goes from offset {range.start} to {range.end}",
                held_end=durable,
            )
        self.in_flight.begin(range.stream, range.start, range.end)

    def failed(self, range: StreamRange) -> None:
        """What was begun is not on disk. What was begun behind it must fail too."""
        self.in_flight.failed(range.stream, range.start, range.end)

    def apply(self, range: StreamRange, now_ns: int) -> None:
        """The range is on disk, since `now_ns`. Applying an older one again changes nothing."""
        stream = range.stream
        self.in_flight.ended(stream, range.start, range.end)
        known = self._committed.get(stream)
        if known is not None and known.end >= range.end:
            return
        # Taken out and put in again: the order is that of the last change.
        self._committed.pop(stream, None)
        self._committed[stream] = self._changed[stream] = CommittedStream(stream, range.end, now_ns)

    def known(self, follower: str) -> list[CommittedStream]:
        """The streams of a follower, the last changed last."""
        return [entry for entry in self._committed.values() if entry.stream.follower == follower]

    def changed(self) -> list[CommittedStream]:
        """What changed since this was called before, for a snapshot."""
        changed, self._changed = list(self._changed.values()), {}
        return changed

    def forget(self, now_ns: int) -> list[Stream]:
        """Forget epochs that were followed by another one long ago; all that was forgotten and is not saved yet."""
        newest: dict[tuple[str, str], int] = {}
        for entry in self._committed.values():
            name = entry.stream.follower, entry.stream.name
            newest[name] = max(newest.get(name, 0), entry.last_event_ns)
        for stream, entry in list(self._committed.items()):
            replaced = entry.last_event_ns < newest[stream.follower, stream.name]
            if replaced and entry.last_event_ns < now_ns - FORGET_AFTER_NS:
                del self._committed[stream]
                self._changed.pop(stream, None)
                self._forgotten.append(stream)
        forgotten, self._forgotten = self._forgotten, []
        return [stream for stream in forgotten if stream not in self._committed]

    def not_saved(self, entries: list[CommittedStream], forgotten: list[Stream]) -> None:
        """What `changed` and `forget` gave and could not be saved."""
        self._changed = {entry.stream: entry for entry in entries} | self._changed
        self._forgotten = forgotten + self._forgotten
