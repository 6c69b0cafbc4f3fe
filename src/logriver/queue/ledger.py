"""The ledger: which bytes of which file are on disk, for every incarnation that a follower has seen, and of each
stream.

The only checkpoint of followers. A range is taken only if it starts where the ledger ends (compare and append), so a
chunk that is sent twice, or by two followers of the same name, is stored once. `streams.py` does the same for streams.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from logriver.errors import RangeConflict
from logriver.file_position import MAX_GAPS, Committed, FileIdentity, FileRange, Gap
from logriver.queue.in_flight import InFlight
from logriver.queue.streams import Streams
from logriver.record import CommittedStream, Known, Position, Stream, StreamRange

FORGET_AFTER_NS = 30 * 86_400 * 1_000_000_000
"""So long after its file is gone, an incarnation is forgotten."""

_Incarnation = tuple[str, int, int, int]
"""What no two incarnations have in common: follower, device, inode, and the number of the incarnation there."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What a snapshot has to save of the ledger: entries that changed, and which ones were forgotten."""

    files: list[Committed]
    streams: list[CommittedStream]
    forgotten: list[str]
    forgotten_streams: list[Stream]


class Ledger:
    """In memory, filled from the last snapshot and the log's headers. Guarded by the log's lock."""

    def __init__(self, committed: list[Committed], streams: Iterable[CommittedStream] = ()) -> None:
        self._streams = Streams(streams)
        self._committed = {entry.identity.id: entry for entry in committed}
        self._by_incarnation = {_incarnation(entry.identity): key for key, entry in self._committed.items()}
        self._in_flight = InFlight[str]()
        self._changed: dict[str, Committed] = {}
        self._forgotten: list[str] = []

    @classmethod
    def of(cls, known: Known) -> "Ledger":
        """The ledger of a snapshot."""
        return cls(known.files, known.streams)

    def begin(self, range: Position) -> None:
        """A range is about to be written. Raises `RangeConflict` unless it continues what is committed or being
        written.

        An incarnation cannot begin where another is the same one: two followers of one name that saw it with
        more and with less of its first bytes.
        """
        if isinstance(range, StreamRange):
            self._streams.begin(range)
            return
        key, incarnation = range.identity.id, _incarnation(range.identity)
        if key not in self._committed and self._by_incarnation.get(incarnation, key) != key:
            raise RangeConflict(f"{range.path[-200:]!r} is committed as another incarnation", held_end=0)
        durable = self._committed[key].end if key in self._committed else 0
        if not self._in_flight.may_begin(key, range.start, durable):
            raise RangeConflict(f"range of {range.path[-200:]!r} starts at byte {range.start}", held_end=durable)
        self._in_flight.begin(key, range.start, range.end)
        self._by_incarnation.setdefault(incarnation, key)

    def failed(self, range: Position) -> None:
        """What was begun is not on disk. What was begun behind it must fail too."""
        if isinstance(range, StreamRange):
            self._streams.failed(range)
            return
        key = range.identity.id
        if self._in_flight.failed(key, range.start, range.end) and key not in self._committed:
            self._free_incarnation(range.identity)

    @property
    def any_broken(self) -> bool:
        """Whether any range was begun that must not be kept."""
        return self._in_flight.any_broken or self._streams.in_flight.any_broken

    def continues(self, range: Position) -> bool:
        """Whether what was begun may be kept: all that it continues is on disk, or may still get there."""
        if isinstance(range, StreamRange):
            return not self._streams.in_flight.is_broken(range.stream)
        return not self._in_flight.is_broken(range.identity.id)

    def apply(self, range: Position, now_ns: int = 0) -> None:
        """The range is on disk, since `now_ns`. Applying an older one again changes nothing.

        One that begins behind what is committed was taken when what is in between was there: that is lost with the log.
        """
        if isinstance(range, StreamRange):
            self._streams.apply(range, now_ns)
            return
        key = range.identity.id
        self._in_flight.ended(key, range.start, range.end)
        known = self._committed.pop(key, None)
        if known is not None and (known.end > range.end or (known.end == range.end and range.start < range.end)):
            self._committed[key] = known
            return
        if known is not None and range.start > known.end:
            known = _with_lost_bytes(known, range, now_ns)
        known = known or Committed(range.identity, range.path, 0, 0, b"")
        self._by_incarnation.setdefault(_incarnation(range.identity), key)
        # Taken out and put in again: the order is that of the last change.
        self._committed[key] = self._changed[key] = known.after(range, now_ns)

    def known(self, follower: str) -> Known:
        """See `Sink.known`."""
        files = [entry for entry in self._committed.values() if entry.identity.follower == follower]
        return Known(files, self._streams.known(follower))

    def entries(self) -> list[Committed]:
        """Every incarnation, the last changed last."""
        return list(self._committed.values())

    def changes(self, now_ns: int) -> Changes:
        """What changed since this was called before, for a snapshot. What is gone for long is forgotten now."""
        forgotten, forgotten_streams = self.forget(now_ns), self._streams.forget(now_ns)
        changed, self._changed = list(self._changed.values()), {}
        return Changes(changed, self._streams.changed(), forgotten, forgotten_streams)

    def not_saved(self, changes: Changes) -> None:
        """What `changes` gave could not be saved."""
        self._changed = {entry.identity.id: entry for entry in changes.files} | self._changed
        self._forgotten = changes.forgotten + self._forgotten
        self._streams.not_saved(changes.streams, changes.forgotten_streams)

    def forget(self, now_ns: int) -> list[str]:
        """Forget files that are gone for long; the ids of all that was forgotten and is not saved yet."""
        for key, entry in list(self._committed.items()):
            if 0 < entry.gone_ns < now_ns - FORGET_AFTER_NS:
                del self._committed[key]
                self._free_incarnation(entry.identity)
                self._changed.pop(key, None)
                self._forgotten.append(key)
        forgotten, self._forgotten = self._forgotten, []
        return [key for key in forgotten if key not in self._committed]

    def _free_incarnation(self, identity: FileIdentity) -> None:
        """An incarnation is not known any more."""
        incarnation = _incarnation(identity)
        if self._by_incarnation.get(incarnation) == identity.id:
            del self._by_incarnation[incarnation]


def _incarnation(identity: FileIdentity) -> _Incarnation:
    return identity.follower, identity.device, identity.inode, identity.incarnation


def _with_lost_bytes(known: Committed, range: FileRange, now_ns: int) -> Committed:
    gap = Gap(known.end, range.start - known.end, True, "damaged in the log", now_ns)
    return replace(known, gaps=(*known.gaps, gap)[-MAX_GAPS:])
