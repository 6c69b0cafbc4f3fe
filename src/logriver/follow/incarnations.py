"""What the sink's ledger knows of this follower's incarnations, kept here, and which file has which of them now.

An incarnation is *claimed* by the one file that is read for it. It is *free* for a copy of that file to take over once
its own file is gone or has other content. In between, at a start, nobody knows yet, and a copy has to wait.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

from logriver import clock
from logriver.errors import RangeConflict
from logriver.file_position import Committed, FileIdentity, FileKey, FileRange, Gap
from logriver.follow.fingerprints import Fingerprints
from logriver.follow.growing_file import HEAD_BYTES, head_hash
from logriver.record import Batch, Decoded, Sink


@dataclass(frozen=True, slots=True)
class Claim:
    """Who has an incarnation: the file's path now, its key and first bytes. `number` grows from claim to claim."""

    path: Path
    file_key: FileKey
    head: bytes
    number: int


@dataclass(slots=True)
class Incarnations:
    """Used on one event loop. `present` are the keys of files that were found at the last look."""

    follower: str
    sink: Sink
    present: set[FileKey] = field(default_factory=set)
    _committed: dict[str, Committed] = field(default_factory=dict)
    _by_file_key: dict[FileKey, dict[str, None]] = field(default_factory=dict)
    _by_head: dict[int, dict[str, dict[str, None]]] = field(default_factory=dict)
    _counts: dict[FileKey, int] = field(default_factory=dict)
    _claims: dict[str, Claim] = field(default_factory=dict)
    _claimed_heads: Fingerprints = field(default_factory=Fingerprints)
    _numbers: Iterator[int] = field(default_factory=count)
    _displaced: dict[str, None] = field(default_factory=dict)

    async def load(self) -> None:
        """Ask the sink for everything. Raises what `Sink.known` does."""
        for committed in (await self.sink.known(self.follower)).files:
            # A journal is no file, and has no inode.
            if committed.identity.inode:
                self._keep(committed)

    async def ledger_went_back(self) -> bool:
        """Whether the sink has less than it had, as a server that was restored has. Raises what `Sink.known` does."""
        # What is committed of a gone file is forgotten one day.
        before = [committed for committed in self._committed.values() if not committed.gone_ns]
        now = {committed.identity.id: committed.end for committed in (await self.sink.known(self.follower)).files}
        return any(now.get(committed.identity.id, -1) < committed.end for committed in before)

    def forget(self) -> None:
        """All of it, as at the start."""
        self._committed, self._by_file_key, self._by_head, self._counts = {}, {}, {}, {}
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
        known = self._committed.get(covers.identity.id) or Committed(covers.identity, covers.path, 0, 0, b"")
        self._keep(known.after(covers, clock.now_ns()))
        return receipt.accepted

    async def put_state(
        self,
        committed: Committed,
        *,
        file_key: FileKey | None = None,
        over: bool = False,
        gone_ns: int = 0,
        gap: Gap | None = None,
    ) -> None:
        """Put what became of an incarnation, as in `FileRange`; it keeps its file key unless another is given."""
        committed = self._committed.get(committed.identity.id) or committed
        path, end, file_key = committed.path, committed.end, file_key or committed.moved_to
        covers = FileRange(
            committed.identity, path, end, end, committed.crc, committed.tail, file_key, over, gone_ns, gap
        )
        await self.put(Batch(Decoded(), source=path, range=covers), covers)

    def all(self) -> list[Committed]:
        """Every incarnation."""
        return list(self._committed.values())

    def get(self, key: str) -> Committed | None:
        """The one with that id, as it is now."""
        return self._committed.get(key)

    def newest_at(self, file_key: FileKey) -> Committed | None:
        """The last incarnation that was seen under a file key, unless its content is known to be another by now."""
        here = self._contenders(file_key)
        return here[-1] if here else None

    def at(self, file_key: FileKey) -> list[FileIdentity]:
        """Those whose file was last seen under a file key, gone ones too."""
        return [self._committed[key].identity for key in self._by_file_key.get(file_key, ())]

    def known_at(self, file_key: FileKey) -> bool:
        """Whether the file there was ever seen, as far as anybody can tell."""
        return any(not self._committed[key].gone_ns for key in self._by_file_key.get(file_key, ()))

    def unsettled(self) -> list[Committed]:
        """Those that lost their file key to another, and nobody has found out yet what became of their content."""
        lost = [self._committed[key] for key in self._displaced]
        for file_key in self._by_file_key:
            lost += self._contenders(file_key)[:-1]
        return [committed for committed in lost if not committed.over and not self.claimed(committed)]

    def _contenders(self, file_key: FileKey) -> list[Committed]:
        """Those that may be what has a file key, the last changed last."""
        here = (self._committed[key] for key in self._by_file_key.get(file_key, ()))
        return [committed for committed in here if not (self.displaced(committed) or self._taken_over(committed))]

    def _taken_over(self, committed: Committed) -> bool:
        """Whether a file with another key has it, a copy: that is known before it is noted in the ledger."""
        claim = self._claims.get(committed.identity.id)
        return claim is not None and claim.file_key != committed.file_key

    def displace(self, committed: Committed) -> None:
        """The file with its key has other content. A copy that has it by now keeps it."""
        if not self._taken_over(committed):
            self.release(committed.identity)
            self._displaced[committed.identity.id] = None

    def displaced(self, committed: Committed) -> bool:
        """Whether its file was seen to get other content, as opposed to going away."""
        return committed.over or committed.identity.id in self._displaced

    @contextmanager
    def claiming(self, identity: FileIdentity, path: Path, file_key: FileKey, head: bytes) -> Iterator[None]:
        """A file has it from now on; if the block raises, nobody does, as before. In it is noted where the file is."""
        self.release(identity)
        self._claims[identity.id] = Claim(path, file_key, head, next(self._numbers))
        self._claimed_heads.add(identity.id, head)
        try:
            yield
        except BaseException:
            self.release(identity)
            raise
        self._displaced.pop(identity.id, None)

    def moved(self, identity: FileIdentity, path: Path) -> None:
        """The path of its file is another now."""
        claim = self._claims.get(identity.id)
        if claim and claim.path != path:
            self._claims[identity.id] = replace(claim, path=path)

    def release(self, identity: FileIdentity) -> None:
        """Its file is no longer read."""
        claim = self._claims.pop(identity.id, None)
        if claim:
            self._claimed_heads.remove(identity.id, claim.head)

    def claimed(self, committed: Committed) -> Claim | None:
        """Who has it."""
        return self._claims.get(committed.identity.id)

    def free(self, committed: Committed) -> bool:
        """Whether a copy may take it over."""
        return not self.claimed(committed) and (
            self.displaced(committed)
            or committed.file_key not in self.present
            or self.newest_at(committed.file_key) is not committed
        )

    def alike(self, head: bytes) -> list[Committed]:
        """Those of which something is committed and that begin as a file with the first bytes `head` does."""
        claimed = self._claimed_heads.alike(head)
        keys: dict[str, None] = dict.fromkeys(sorted(claimed, key=lambda key: self._claims[key].number))
        for length, by_hash in self._by_head.items():
            if length <= len(head):
                keys |= by_hash.get(head_hash(head[:length]), {})
        found = [self._committed[key] for key in keys if key in self._committed]
        return [committed for committed in reversed(found) if committed.end]

    def claims_alike(self, head: bytes, known: Mapping[str, Claim | None]) -> dict[str, Claim]:
        """Who claims those that begin as a file with the first bytes `head` does, but for the claims that are known."""
        claims = {key: self._claims[key] for key in self._claimed_heads.alike(head)}
        return {key: claim for key, claim in claims.items() if known.get(key) is not claim}

    def born(self, file_key: FileKey, head: bytes) -> FileIdentity:
        """A new incarnation under a file key."""
        head = head[:HEAD_BYTES]
        return FileIdentity(self.follower, *file_key, len(head), head_hash(head), self._counts.get(file_key, -1) + 1)

    def _keep(self, committed: Committed) -> None:
        identity, key = committed.identity, committed.identity.id
        before = self._committed.get(key)
        if before:
            self._by_file_key[before.file_key].pop(key, None)
        self._committed[key] = committed
        # Taken out and put in again: the order is that of the last change.
        self._by_file_key.setdefault(committed.file_key, {})[key] = None
        self._by_head.setdefault(identity.head_length, {}).setdefault(identity.head_hash, {})[key] = None
        born_at = (identity.device, identity.inode)
        self._counts[born_at] = max(self._counts.get(born_at, -1), identity.incarnation)
        if committed.over:
            self._displaced.pop(key, None)
