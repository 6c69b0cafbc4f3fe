"""The ledger: which bytes of which file are on disk, for every generation that a follower has seen.

The only checkpoint of followers. A range is taken only if it starts where the ledger ends (compare and append), so a
chunk that is sent twice, or by two followers of the same name, is stored once.
"""

from logriver.errors import RangeConflict
from logriver.record import FileRange, Generation, Held

FORGET_AFTER_NS = 30 * 86_400 * 1_000_000_000
"""So long after its file is gone, a generation is forgotten."""

_Life = tuple[str, int, int, int]
"""What no two generations have in common: follower, device, inode, and the number of the life there."""


class Ledger:
    """In memory, filled from the last snapshot and the log's headers. Guarded by the log's lock."""

    def __init__(self, held: list[Held]) -> None:
        self._held = {entry.generation.id: entry for entry in held}
        self._by_life = {_life(entry.generation): key for key, entry in self._held.items()}
        self._appending: dict[str, int] = {}
        self._changed: dict[str, Held] = {}
        self._forgotten: list[str] = []

    def begin(self, range: FileRange) -> None:
        """A range is about to be written. Raises `RangeConflict` unless it continues what is held or being written.

        A generation cannot begin where another is the same life of the file: two followers of one name that saw it with
        more and with less of its first bytes.
        """
        key, life = range.generation.id, _life(range.generation)
        if key not in self._held and self._by_life.get(life, key) != key:
            raise RangeConflict(f"{range.path[-200:]!r} is held as another generation", held_end=0)
        durable = self._held[key].end if key in self._held else 0
        if range.start != self._appending.get(key, durable):
            raise RangeConflict(f"range of {range.path[-200:]!r} starts at byte {range.start}", held_end=durable)
        self._appending[key] = range.end
        self._by_life.setdefault(life, key)

    def failed(self, range: FileRange) -> None:
        """What was begun is not on disk."""
        key = range.generation.id
        self._appending.pop(key, None)
        if key not in self._held:
            self._free_life(range.generation)

    def apply(self, range: FileRange, now_ns: int = 0) -> None:
        """The range is on disk, since `now_ns`. Applying an older one again changes nothing."""
        key = range.generation.id
        if self._appending.get(key) == range.end:
            del self._appending[key]
        known = self._held.pop(key, None)
        if known is not None and (known.end > range.end or (known.end == range.end and range.start < range.end)):
            self._held[key] = known
            return
        known = known or Held(range.generation, range.path, 0, 0, b"")
        self._by_life.setdefault(_life(range.generation), key)
        # Taken out and put in again: the order is that of the last change.
        self._held[key] = self._changed[key] = known.after(range, now_ns)

    def known(self, follower: str) -> list[Held]:
        """See `Sink.known`."""
        return [entry for entry in self._held.values() if entry.generation.follower == follower]

    def entries(self) -> list[Held]:
        """Every generation, the last changed last."""
        return list(self._held.values())

    def changed(self) -> list[Held]:
        """What changed since this was called before, for a snapshot."""
        changed, self._changed = list(self._changed.values()), {}
        return changed

    def forget(self, now_ns: int) -> list[str]:
        """Forget what is gone for long; the ids of all that was forgotten and is not saved yet, for a snapshot."""
        for key, entry in list(self._held.items()):
            if 0 < entry.gone_ns < now_ns - FORGET_AFTER_NS:
                del self._held[key]
                self._free_life(entry.generation)
                self._changed.pop(key, None)
                self._forgotten.append(key)
        forgotten, self._forgotten = self._forgotten, []
        return [key for key in forgotten if key not in self._held]

    def not_saved(self, entries: list[Held], forgotten: list[str]) -> None:
        """What `changed` and `forget` gave and could not be saved."""
        self._changed = {entry.generation.id: entry for entry in entries} | self._changed
        self._forgotten = forgotten + self._forgotten

    def _free_life(self, generation: Generation) -> None:
        """A generation is not known any more."""
        life = _life(generation)
        if self._by_life.get(life) == generation.id:
            del self._by_life[life]


def _life(generation: Generation) -> _Life:
    return generation.follower, generation.device, generation.inode, generation.life
