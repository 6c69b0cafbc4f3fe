"""What became of bytes that were not read when their file got other content or went away: a copy has them, or nobody.

Tools that copy and truncate leave the rest in the copy, tools that rename in a file of another name, often one that is
not followed itself, and either may have been compressed since. All are looked for beside the file. Of what is nowhere,
those bytes are recorded as a gap that somebody saw: a file that is gone or has other content may have been read to its
end, and mostly was.
"""

import logging
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from logriver import clock, metrics
from logriver.file_position import Committed, FileKey, Gap
from logriver.follow.archive import Archive
from logriver.follow.file_calls import FileCalls
from logriver.follow.growing_file import HEAD_BYTES, GrowingFile
from logriver.follow.incarnations import Incarnations
from logriver.follow.missed_rotations import rotated_from
from logriver.follow.paths import FoundFile, siblings
from logriver.path_text import path_of

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Copy:
    """A file that has all that is committed of an incarnation, and how long its content is."""

    file: FoundFile
    size: int


class Rotations:
    """`followed` gives the files that are followed, `start` reads a file, for one incarnation alone."""

    def __init__(
        self,
        incarnations: Incarnations,
        calls: FileCalls,
        followed: Callable[[], Awaitable[list[FoundFile]]],
        start: Callable[[FoundFile, str], object],
    ) -> None:
        self._incarnations = incarnations
        self._calls = calls
        self._followed = followed
        self._start = start
        # Of which an archive was found that nobody can read and that has more, as it was written to later.
        self._unreadable: set[str] = set()
        # Logged and counted, and not known to be on disk: while the sink is away, that is tried again and again.
        self._reported: dict[str, Gap] = {}

    async def truncated(self, committed: Committed, seen_bytes: int = 0) -> None:
        """The file with its key has other content; it was seen with `seen_bytes`, 0 where nobody knows.

        Raises as `Sink.put` does.
        """
        self._incarnations.displace(committed)
        copy = await self._copy_of(committed)
        claim = self._incarnations.claimed(committed)
        if copy:
            copied_bytes = copy.size
        elif claim:
            # A followed copy took it over just now.
            copied_bytes = (await self._calls.run(claim.file_key[0], claim.path.stat)).st_size
        else:
            await self._lost(committed, seen_bytes, "truncated before it was read", over=True)
            return
        if seen_bytes > copied_bytes:
            gap = self._gap(
                committed, copied_bytes, seen_bytes, "written after its copy was made, before it was truncated"
            )
            await self._incarnations.put_state(committed, gap=gap)
            self._reported.pop(committed.identity.id)
        if copy:
            await self._read_rest(committed, copy)

    async def _lost(self, committed: Committed, seen_bytes: int, reason: str, *, over: bool) -> None:
        """Nobody has what was behind the committed bytes, if something was seen there."""
        gap = None
        if committed.identity.id in self._unreadable:
            gap = self._gap(committed, committed.end, seen_bytes, "its compressed copy cannot be read")
        elif seen_bytes > committed.end and not committed.gone_ns:
            gap = self._gap(committed, committed.end, seen_bytes, reason)
        await self._incarnations.put_state(committed, over=over, gone_ns=clock.now_ns(), gap=gap)
        self._reported.pop(committed.identity.id, None)

    def _gap(self, committed: Committed, offset: int, seen_bytes: int, reason: str) -> Gap:
        key = committed.identity.id
        if key not in self._reported:
            self._reported[key] = _reported(committed, offset, seen_bytes, reason)
        return self._reported[key]

    async def missing(self, committed: Committed, beside: dict[FileKey, FoundFile], seen_bytes: int = 0) -> None:
        """No path that is followed leads to its file, which was seen with `seen_bytes`, 0 where nobody knows.

        `beside` are the files in its directory by file key. Raises `OSError`, and as `Sink.put` does.
        """
        there, path = beside.get(committed.file_key), Path(path_of(committed.path))
        if there is not None and await self._calls.run(committed.file_key[0], partial(_still_is, there, committed)):
            if there.is_archive or there.status.st_size > committed.end:
                self._start(there, committed.identity.id)
            return
        if there is not None and not there.is_archive and rotated_from(there.path) == path:
            await self.truncated(committed)
            # Newer than what was committed there: its path was followed, and it was rotated away before anybody looked.
            self._start(replace(there, path=path), "")
            return
        # Any other file there is nobody's that we know: it has the inode of one that was deleted.
        copy = await self._copy_of(committed)
        if copy:
            await self._read_rest(committed, copy)
        else:
            await self._lost(committed, seen_bytes, "gone before it was read", over=False)

    async def unopened(self, path: str, file_key: FileKey, seen_bytes: int) -> None:
        """The file with a key is gone, and nobody ever opened it: an incarnation of which all is lost.

        Nothing is known of its beginning, so it is over: no other file must be taken for it. Raises as `Sink.put` does.
        """
        committed = Committed(self._incarnations.born(file_key, b""), path, 0, 0, b"")
        gap = self._gap(committed, 0, seen_bytes, "gone before it was opened")
        await self._incarnations.put_state(committed, over=True, gone_ns=clock.now_ns(), gap=gap)
        self._reported.pop(committed.identity.id)

    async def _read_rest(self, committed: Committed, copy: Copy) -> None:
        """Have read what a copy has and is not committed, now and, unless it is compressed, later."""
        if copy.file.is_archive and copy.size == committed.end:
            over = self._incarnations.displaced(committed)
            await self._incarnations.put_state(
                committed, file_key=copy.file.file_key, over=over, gone_ns=clock.now_ns()
            )
        else:
            self._start(copy.file, committed.identity.id)

    async def _copy_of(self, committed: Committed) -> Copy | None:
        if not committed.end:
            return None
        path = Path(path_of(committed.path))
        self._unreadable.discard(committed.identity.id)
        for file in [*await self._followed(), *await self._calls.run(str(path.parent), partial(siblings, path))]:
            known = self._incarnations.newest_at(file.file_key)
            if known and known.gone_ns and file.is_archive:
                # Read to its end, and perhaps deleted since: then this one has got its inode.
                known = None
            long_enough = file.is_archive or file.status.st_size >= committed.end
            followed = known and file.file_key in self._incarnations.present
            if not followed and file.file_key != committed.file_key and long_enough:
                copy = await self._as_copy(file, committed, known)
                if copy:
                    return copy
        return None

    async def _as_copy(self, file: FoundFile, committed: Committed, known: Committed | None) -> Copy | None:
        """The file, if it is a copy of this one and not of another that began in the same way.

        `known` is what its inode was last known for: nothing, if what has it now begins in another way.
        """
        opened: GrowingFile | None = None
        run = partial(self._calls.run, file.file_key[0])
        try:
            kind = Archive if file.is_archive else GrowingFile
            opened = await run(partial(kind, file.path, 1), GrowingFile.close)
            if not await run(partial(opened.same_up_to, committed)):
                return None
            if known is not None:
                begins_as_known: bool = await run(partial(opened.begins_as, known))
                if begins_as_known:
                    return None
            for other in self._incarnations.alike(await run(partial(opened.head, HEAD_BYTES))):
                if other.end > committed.end and await run(partial(opened.same_up_to, other)):
                    return None
            return Copy(file, await run(opened.size))
        except TimeoutError:
            # It may be the copy: what is not in any other is not lost yet.
            raise
        except OSError:
            is_rotated = file.is_archive and rotated_from(file.path) == Path(path_of(committed.path))
            if is_rotated and file.status.st_mtime_ns > committed.last_event_ns:
                self._unreadable.add(committed.identity.id)
            return None
        finally:
            if opened:
                self._calls.later(opened.close)


def _still_is(file: FoundFile, committed: Committed) -> bool:
    """Whether a file that was renamed has what is committed of it; one that cannot be judged just now is taken to."""
    try:
        with closing((Archive if file.is_archive else GrowingFile)(file.real_path, 1)) as opened:
            status = opened.stat()
            return (status.st_dev, status.st_ino) != file.file_key or opened.still_is(committed)
    except OSError:
        return True


def _reported(committed: Committed, offset: int, seen_bytes: int, reason: str) -> Gap:
    """The gap from `offset` on. How many bytes were seen is a lower bound: what came after that look is not known."""
    gap = Gap(offset, max(0, seen_bytes - offset), False, reason, clock.now_ns())
    metrics.followed_gaps.inc()
    metrics.followed_lost_bytes.inc(gap.bytes)
    log.error("%s: at least %d bytes after byte %d are lost: %s", committed.path, gap.bytes, offset, reason)
    return gap
