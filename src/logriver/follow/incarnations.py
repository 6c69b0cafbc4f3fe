"""What the sink's ledger knows of this follower's generations, kept here, and which file has which of them now.

A generation is *claimed* by the one file that is read for it. It is *free* for a copy of that file to take over once
its own file is gone or has other content. In between, at a start, nobody knows yet, and a copy has to wait.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

from logriver import clock
from logriver.errors import RangeConflict
from logriver.file_position import Committed, FileIdentity, FileRange, Gap
from logriver.follow.fingerprints import Fingerprints
from logriver.follow.growing_file import HEAD_BYTES, head_hash
from logriver.record import Batch, Decoded, Sink

Place = tuple[int, int]
"""Device and inode."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Who has a generation: the file's path now, its place, and its first bytes. `number` grows from claim to claim."""

    path: Path
    place: Place
    head: bytes
    number: int


@dataclass(slots=True)
class Incarnations:
    """Used on one event loop. `present` are the places where files were found at the last look."""

    follower: str
    sink: Sink
    present: set[Place] = field(default_factory=set)
    _held: dict[str, Committed] = field(default_factory=dict)
    _by_place: dict[Place, dict[str, None]] = field(default_factory=dict)
    _by_head: dict[int, dict[str, dict[str, None]]] = field(default_factory=dict)
    _lives: dict[Place, int] = field(default_factory=dict)
    _claims: dict[str, Claim] = field(default_factory=dict)
    _claimed_heads: Fingerprints = field(default_factory=Fingerprints)
    _numbers: Iterator[int] = field(default_factory=count)
    _displaced: dict[str, None] = field(default_factory=dict)

    async def load(self) -> None:
        """Ask the sink for everything. Raises what `Sink.known` does."""
        for held in (await self.sink.known(self.follower)).files:
            # A journal is no file, and has no inode.
            if held.generation.inode:
                self._keep(held)

    async def ledger_went_back(self) -> bool:
        """Whether the sink has less than it had, as a server that was restored has. Raises what `Sink.known` does."""
        # What is held of a gone file is forgotten one day.
        before = [held for held in self._held.values() if not held.gone_ns]
        now = {held.generation.id: held.end for held in (await self.sink.known(self.follower)).files}
        return any(now.get(held.generation.id, -1) < held.end for held in before)

    def forget(self) -> None:
        """All of it, as at the start."""
        self._held, self._by_place, self._by_head, self._lives = {}, {}, {}, {}
        self._claims, self._claimed_heads, self._displaced = {}, Fingerprints(), {}

    async def put(self, batch: Batch, covers: FileRange) -> int:
        """Put a batch with its range; what is known afterwards is what the ledger knows. Gives the records accepted.

        Raises as `Sink.put` does.
        """
        try:
            receipt = await self.sink.put(batch)
        except RangeConflict:
            await self.load()
            raise
        known = self._held.get(covers.generation.id) or Committed(covers.generation, covers.path, 0, 0, b"")
        self._keep(known.after(covers, clock.now_ns()))
        return receipt.accepted

    async def put_state(
        self,
        held: Committed,
        *,
        place: Place | None = None,
        over: bool = False,
        gone_ns: int = 0,
        gap: Gap | None = None,
    ) -> None:
        """Put what became of a generation, as in `FileRange`; it stays in its place unless another is given."""
        held = self._held.get(held.generation.id) or held
        path, end, place = held.path, held.end, place or held.moved_to
        covers = FileRange(held.generation, path, end, end, held.crc, held.tail, place, over, gone_ns, gap)
        await self.put(Batch(Decoded(), source=path, range=covers), covers)

    def all(self) -> list[Committed]:
        """Every generation."""
        return list(self._held.values())

    def get(self, key: str) -> Committed | None:
        """The one with that id, as it is now."""
        return self._held.get(key)

    def newest_at(self, place: Place) -> Committed | None:
        """The last generation that was seen in a place, unless its content is known to be another by now."""
        here = self._contenders(place)
        return here[-1] if here else None

    def at(self, place: Place) -> list[FileIdentity]:
        """Those whose file was last seen in a place, gone ones too."""
        return [self._held[key].generation for key in self._by_place.get(place, ())]

    def known_at(self, place: Place) -> bool:
        """Whether the file there was ever seen, as far as anybody can tell."""
        return any(not self._held[key].gone_ns for key in self._by_place.get(place, ()))

    def unsettled(self) -> list[Committed]:
        """Those that lost their place to another, and nobody has found out yet what became of their content."""
        lost = [self._held[key] for key in self._displaced]
        for place in self._by_place:
            lost += self._contenders(place)[:-1]
        return [held for held in lost if not held.over and not self.claimed(held)]

    def _contenders(self, place: Place) -> list[Committed]:
        """Those that may be what is in a place, the last changed last."""
        here = (self._held[key] for key in self._by_place.get(place, ()))
        return [held for held in here if not (self.displaced(held) or self._taken_over(held))]

    def _taken_over(self, held: Committed) -> bool:
        """Whether a file in another place has it, a copy: that is known before it is noted in the ledger."""
        claim = self._claims.get(held.generation.id)
        return claim is not None and claim.place != held.place

    def displace(self, held: Committed) -> None:
        """The file in its place has other content. A copy that has it by now keeps it."""
        if not self._taken_over(held):
            self.release(held.generation)
            self._displaced[held.generation.id] = None

    def displaced(self, held: Committed) -> bool:
        """Whether its file was seen to get other content, as opposed to going away."""
        return held.over or held.generation.id in self._displaced

    @contextmanager
    def claiming(self, generation: FileIdentity, path: Path, place: Place, head: bytes) -> Iterator[None]:
        """A file has it from now on; if the block raises, nobody does, as before. In it is noted where the file is."""
        self.release(generation)
        self._claims[generation.id] = Claim(path, place, head, next(self._numbers))
        self._claimed_heads.add(generation.id, head)
        try:
            yield
        except BaseException:
            self.release(generation)
            raise
        self._displaced.pop(generation.id, None)

    def moved(self, generation: FileIdentity, path: Path) -> None:
        """The path of its file is another now."""
        claim = self._claims.get(generation.id)
        if claim and claim.path != path:
            self._claims[generation.id] = replace(claim, path=path)

    def release(self, generation: FileIdentity) -> None:
        """Its file is no longer read."""
        claim = self._claims.pop(generation.id, None)
        if claim:
            self._claimed_heads.remove(generation.id, claim.head)

    def claimed(self, held: Committed) -> Claim | None:
        """Who has it."""
        return self._claims.get(held.generation.id)

    def free(self, held: Committed) -> bool:
        """Whether a copy may take it over."""
        return not self.claimed(held) and (
            self.displaced(held) or held.place not in self.present or self.newest_at(held.place) is not held
        )

    def alike(self, head: bytes) -> list[Committed]:
        """Those of which something is held and that begin as a file with the first bytes `head` does."""
        claimed = self._claimed_heads.alike(head)
        keys: dict[str, None] = dict.fromkeys(sorted(claimed, key=lambda key: self._claims[key].number))
        for length, by_hash in self._by_head.items():
            if length <= len(head):
                keys |= by_hash.get(head_hash(head[:length]), {})
        found = [self._held[key] for key in keys if key in self._held]
        return [held for held in reversed(found) if held.end]

    def claims_alike(self, head: bytes, known: Mapping[str, Claim | None]) -> dict[str, Claim]:
        """Who claims those that begin as a file with the first bytes `head` does, but for the claims that are known."""
        claims = {key: self._claims[key] for key in self._claimed_heads.alike(head)}
        return {key: claim for key, claim in claims.items() if known.get(key) is not claim}

    def born(self, place: Place, head: bytes) -> FileIdentity:
        """A new generation in a place."""
        head = head[:HEAD_BYTES]
        return FileIdentity(self.follower, *place, len(head), head_hash(head), self._lives.get(place, -1) + 1)

    def _keep(self, held: Committed) -> None:
        generation, key = held.generation, held.generation.id
        before = self._held.get(key)
        if before:
            self._by_place[before.place].pop(key, None)
        self._held[key] = held
        # Taken out and put in again: the order is that of the last change.
        self._by_place.setdefault(held.place, {})[key] = None
        self._by_head.setdefault(generation.head_length, {}).setdefault(generation.head_hash, {})[key] = None
        born_at = (generation.device, generation.inode)
        self._lives[born_at] = max(self._lives.get(born_at, -1), generation.life)
        if held.over:
            self._displaced.pop(key, None)
