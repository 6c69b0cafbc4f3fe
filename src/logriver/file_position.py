"""Where a follower is in a file: which file it is, which of its bytes are on disk elsewhere, and which are gone."""

from dataclasses import dataclass

FileKey = tuple[int, int]
"""Device and inode: where a file is on its machine, whatever its path."""

MAX_GAPS = 100
"""So many gaps of one incarnation are kept, the newest."""


@dataclass(frozen=True, slots=True)
class FileIdentity:
    """One incarnation of one file, as a follower knows it: name of the follower, device, inode, hash of the first
    bytes.

    `head_length` (at most 1 kB) is how many first bytes `head_hash` covers; both are fixed when the file is first seen.
    `incarnation` counts the incarnations on that inode from 0, because a file that was truncated may begin as it did
    before.
    """

    follower: str
    device: int
    inode: int
    head_length: int
    head_hash: str
    incarnation: int = 0

    @property
    def id(self) -> str:
        """The incarnation as one string, the ledger's key."""
        first = f"{self.follower}:{self.device}:{self.inode}:{self.head_length}:{self.head_hash}"
        return f"{first}:{self.incarnation}" if self.incarnation else first


@dataclass(frozen=True, slots=True)
class Gap:
    """Bytes of an incarnation from `offset` on that are not committed: destroyed before anybody read them, or left out.

    `bytes` is how many at least, and `exact` whether that is all of them. What was left out on purpose is not `lost`.
    """

    offset: int
    bytes: int
    exact: bool
    reason: str
    noticed_ns: int
    lost: bool = True


@dataclass(frozen=True, slots=True)
class FileRange:
    """The bytes `start` to `end` (exclusive) of an incarnation that a batch covers, refused lines included.

    `crc` is the CRC32C of the bytes 0 to `end`, `tail` the last bytes (at most 256) before `end`. An empty range says
    only what became of the file: `gone_ns`, since when it is not there (0 while it is), `over`, its inode has other
    content now, and a `gap`. `file_key` is where it is now, None where it began.
    """

    identity: FileIdentity
    path: str
    start: int
    end: int
    crc: int
    tail: bytes
    file_key: FileKey | None = None
    over: bool = False
    gone_ns: int = 0
    gap: Gap | None = None


@dataclass(frozen=True, slots=True)
class Committed:
    """What the ledger knows of an incarnation: every byte before `end` is on disk, but for gaps. See `FileRange`.

    `last_event_ns` is when bytes of it last reached the disk, 0 where that is not known.
    """

    identity: FileIdentity
    path: str
    end: int
    crc: int
    tail: bytes
    moved_to: FileKey | None = None
    over: bool = False
    gone_ns: int = 0
    gaps: tuple[Gap, ...] = ()
    last_event_ns: int = 0

    @property
    def file_key(self) -> FileKey:
        """Device and inode of the file that has it now."""
        return self.moved_to or (self.identity.device, self.identity.inode)

    def ranges(self) -> list[tuple[int, int]]:
        """The bytes that are committed, as ranges: from 0 to `end` without the gaps in between."""
        found, start = [], 0
        for gap in sorted(self.gaps, key=lambda gap: gap.offset):
            if start < min(gap.offset, self.end):
                found.append((start, min(gap.offset, self.end)))
            start = max(start, gap.offset + gap.bytes)
        return [*found, (start, self.end)] if start < self.end else found

    def after(self, range: FileRange, now_ns: int = 0) -> "Committed":
        """What is known once `range`, which continues this, is on disk, since `now_ns`."""
        gaps = self.gaps
        if range.gap is not None and range.gap not in gaps:
            gaps = (*gaps, range.gap)[-MAX_GAPS:]
        last_event_ns = now_ns if range.start < range.end else self.last_event_ns
        return Committed(
            self.identity,
            self.path,
            range.end,
            range.crc,
            range.tail,
            range.file_key,
            range.over,
            range.gone_ns,
            gaps,
            last_event_ns,
        )
