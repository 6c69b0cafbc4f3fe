"""Following files into a sink: finds them, has a reader task for each, wakes those that changed.

A file is known by device and inode and read once, whatever paths lead to it; its source is the first path found.
Whatever reads is a loop of its own, so that a file, a sink or a file system in trouble holds up nothing else.
"""

import asyncio
import logging
from collections.abc import Awaitable, Iterable, Iterator
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path

from logriver import clock
from logriver.decode.decoder import MakeDecoder
from logriver.errors import LogriverError
from logriver.file_position import Committed, FileKey
from logriver.follow.file_calls import FileCalls
from logriver.follow.found_files import Directories, FoundFiles
from logriver.follow.incarnations import Incarnations
from logriver.follow.journal import Journal, journals_of
from logriver.follow.missed_rotations import compressed_since, known_archives, rotated_from, unseen
from logriver.follow.open_files import MAX_OPEN, OpenFiles
from logriver.follow.paths import ARCHIVES, FoundFile, path_patterns, siblings
from logriver.follow.reader import AT_ONCE, FileReader, ReaderSettings
from logriver.follow.rotation import Rotations
from logriver.follow.sources import SourceStatus, statuses
from logriver.follow.watch import POLL_SECONDS, wakings
from logriver.path_text import path_of, text_of
from logriver.record import Sink
from logriver.settings import FollowSettings
from logriver.threads import idle

log = logging.getLogger(__name__)

# What reads ends so soon, or is left. With what the calls get afterwards it is less than the composition roots wait.
_STOP_SECONDS = 3.0
# How soon a path that is not known yet makes us look again: a busy directory has many that are not ours.
_LOOK_AGAIN_SECONDS = 0.2
# Where there are thousands of files, the pause is so many times as long as the look, but not longer than
_PAUSE_PER_LOOK = 5
_LONGEST_PAUSE_SECONDS = 5.0
_KEPT_AFTER_GONE_SECONDS = 60.0
# A file that was renamed out of the pattern is read on for as long as somebody may still write to it.
_KEPT_AFTER_RENAMED_SECONDS = 3600.0
_SETTLE_SECONDS = 300.0
_SETTLE_AGAIN_SECONDS = 5.0


class Follower:
    """Follows what the settings say, under the name that the sink's ledger knows it by."""

    def __init__(
        self,
        sink: Sink,
        settings: FollowSettings,
        make_decoder: MakeDecoder,
        *,
        zone: str = "",
        max_open: int = MAX_OPEN,
        at_once: int = AT_ONCE,
        calls: FileCalls | None = None,
    ) -> None:
        """`zone` is that of times and sources that name none, the machine's where it is empty.

        `make_decoder` makes a decoder for each of them. `max_open` is how many files are open at one time, `at_once`
        how many of them have a chunk in memory, `calls` makes the calls that block. Raises `SettingsError` for a source
        that cannot be read.
        """
        self.name = settings.follower_name
        self._sources = path_patterns(settings, zone)
        self._from_end = settings.from_end
        self._calls = calls or FileCalls()
        self._found = FoundFiles(self._sources, self._calls)
        journals = journals_of(settings)
        self._journals = [Journal(path, options, settings, make_decoder(), sink) for path, options in journals.items()]
        self._incarnations = Incarnations(self.name, sink)
        self._rotations = Rotations(self._incarnations, self._calls, self._files, self._read_for)
        self._settings = ReaderSettings(
            self._incarnations,
            settings.max_record_bytes,
            make_decoder,
            self._truncated,
            asyncio.Semaphore(at_once),
            OpenFiles(max_open),
            self._calls,
        )
        self._readers: dict[FileKey, FileReader] = {}
        self._gone_since: dict[FileKey, float] = {}
        self._by_path: dict[str, FileReader] = {}
        self._directories: Directories = {}
        self._archives: frozenset[FileKey] = frozenset()
        self._settle_at = 0.0
        self._doubts_ledger = False
        # Files that were gone before they could be opened, and how long they were; not in the ledger yet.
        self._lost: list[tuple[str, FileKey, int]] = []
        # How long files were of which the rest could not be read before they were gone, by incarnation.
        self._seen_bytes: dict[str, int] = {}

    def doubt_ledger(self) -> None:
        """The sink may know less than it did: it is asked, and if so, everything is read on from where it ends now."""
        self._doubts_ledger = True

    async def run(self) -> None:
        """Follow until cancelled. Stopping is safe at any point, and so is running again after whatever this raises."""
        while True:
            await self._run_while_ledger_grows()
            log.warning("the server holds less than it did: going back to where its ledger ends")
            self._incarnations.forget()

    async def _run_while_ledger_grows(self) -> None:
        try:
            for journal in self._journals:
                journal.start()
            await self._incarnations.load()
            self._forget_readers()
            looked, took_seconds = await self._timed_look()
            changes = wakings(lambda: self._directories, self._calls)
            async with aclosing(changes):
                while True:
                    with idle():
                        changed = await anext(changes)
                    if self._doubts_ledger and await self._ledger_went_back():
                        return
                    for path in changed & self._by_path.keys():
                        self._by_path[path].wake()
                    pause = _LOOK_AGAIN_SECONDS if changed - self._by_path.keys() else POLL_SECONDS
                    pause = max(pause, min(took_seconds * _PAUSE_PER_LOOK, _LONGEST_PAUSE_SECONDS))
                    if clock.monotonic() - looked >= pause:
                        looked, took_seconds = await self._timed_look()
        finally:
            await asyncio.gather(*(loop.stop(_STOP_SECONDS) for loop in self._loops()))
            await self._calls.close()

    async def _ledger_went_back(self) -> bool:
        self._doubts_ledger = False
        try:
            return await self._incarnations.ledger_went_back()
        except LogriverError as error:
            log.info("the ledger is not asked yet: %s", error)
            self._doubts_ledger = True
            return False

    async def _truncated(self, committed: Committed, seen_bytes: int) -> None:
        """See `Rotations.truncated`. Files beside it may be known for unseen ones by what that finds."""
        await self._rotations.truncated(committed, seen_bytes)
        self._settle_at = 0

    def _forget_readers(self) -> None:
        """Those of a run before, which ended with it: every file needs a new one."""
        self._readers, self._gone_since, self._by_path = {}, {}, {}
        self._settle_at = 0

    def sources(self) -> list[SourceStatus]:
        """How far each file is followed, what is lost of it, and which sources have no file yet."""
        empty = (
            SourceStatus(text_of(str(source.path)), source.options.format, 0, 0, 0, "no such file yet")
            for source in self._found.empty()
        )
        shown = statuses(list(self._readers.values()), self._incarnations, self._means)
        seen = {status.path for status in shown}
        journals = (journal.status() for journal in self._journals)
        return [*shown, *(status for status in empty if status.path not in seen), *journals]

    def file_keys(self) -> frozenset[FileKey]:
        """Where the files lie whose lines the sink has or will have: followed ones, and rotated ones of those.

        Of a file that is gone it is the archive that was read for it, as long as one lies there: its own inode may be
        another file's by now.
        """
        known = (
            committed.file_key for committed in self._incarnations.all() if not (committed.over or committed.gone_ns)
        )
        return frozenset(chain(self._readers, self._incarnations.present, self._archives, known))

    @property
    def problems(self) -> list[str]:
        """What keeps whole sources from being followed, and what nobody foresaw."""
        failing = {problem for loop in self._loops() for problem in loop.problems}
        return [*self._found.problems(), *sorted(failing)]

    def _loops(self) -> list[FileReader | Journal]:
        return [*self._journals, *self._readers.values()]

    async def _files(self) -> list[FoundFile]:
        """Every file that is followed, as of now."""
        await self._found.look()
        return list(self._found.all())

    async def _timed_look(self) -> tuple[float, float]:
        """Look; gives when that was done, and how long it took."""
        began = clock.monotonic()
        await self._look()
        now = clock.monotonic()
        return now, now - began

    async def _look(self) -> None:
        """Find new files, wake the readers of those that changed, let go of those that are gone."""
        await self._found.look()
        found: dict[FileKey, FoundFile] = {}
        for file in self._found.all():
            found.setdefault(file.file_key, file)
        self._directories = self._found.directories()
        first_found = self._found.first_found() if self._from_end else set()
        self._incarnations.present = set(found)
        if self._settle_at <= clock.monotonic():
            self._settle_at = clock.monotonic() + _SETTLE_SECONDS
            await self._settle(found)
        by_path: dict[str, FileReader] = {}
        for key, file in found.items():
            reader = self._readers.get(key) or self._start(file, from_end=key in first_found)
            if key in self._gone_since and reader.is_unopened and file.status.st_size < reader.seen.st_size:
                # Another file has the inode of the one that went.
                await self._find_unopened({key: reader})
                if key in self._readers:
                    self._lose(reader, key)
                else:
                    reader = self._start(file)
            by_path[str(file.path)] = by_path[str(file.real_path)] = reader
            reader.where, reader.rotated = file.real_path, file.path != reader.first_path
            if reader.identity:
                self._incarnations.moved(reader.identity, file.real_path)
            _wake_if_changed(reader, file)
        self._by_path = by_path
        await self._find_unopened(self._unopened_gone(found))
        for key in self._readers.keys() - found.keys():
            await self._gone(key)
        for key in self._gone_since.keys() & found.keys():
            del self._gone_since[key]

    def _unopened_gone(self, found: dict[FileKey, FoundFile]) -> dict[FileKey, FileReader]:
        return {key: reader for key, reader in self._readers.items() if key not in found and reader.is_unopened}

    async def _find_unopened(self, readers: dict[FileKey, FileReader]) -> set[FileKey]:
        """Files that were rotated before they could be opened: those before them may wait for the sink for long.

        Their names show it, as in `missed_rotations.py`: by now the inode may be that of a file of others. Returned are
        the archives that they cannot have yet.
        """
        awaited = set[FileKey]()
        for path in {reader.first_path for reader in readers.values()}:
            try:
                beside = await self._siblings(path)
            except OSError as error:
                log.info("what is beside %s is not known: %s", text_of(str(path)), error)
                continue
            rotated = {
                file.file_key: file for file in beside if rotated_from(file.path) == path and not file.is_archive
            }
            unknown = await self._unknown_archives(beside)
            for key, reader in readers.items():
                if reader.first_path != path or not reader.is_unopened:
                    continue
                if key in rotated:
                    reader.where = rotated[key].real_path
                    # It is gone from the moment on in which it is not beside its path any more.
                    self._gone_since[key] = clock.monotonic()
                elif not (archive := compressed_since(path, reader.seen, unknown)):
                    continue
                elif self._is_unsettled_at(archive.file_key):
                    # It has the inode of a file that is found out to be gone first. Until then it is not lost.
                    self._gone_since[key] = clock.monotonic()
                    self._settle_at = 0
                    awaited.add(archive.file_key)
                else:
                    # Its own inode may be a new file's soon, which needs a reader of its own.
                    reader.read_archive(archive)
                    unknown.remove(archive)
                    self._readers[archive.file_key] = self._readers.pop(key)
                    self._gone_since.pop(key, None)
        return awaited

    def _is_unsettled_at(self, file_key: FileKey) -> bool:
        """Whether it is still for us to find out what became of the file that was known there."""
        known = (self._incarnations.get(identity.id) for identity in self._incarnations.at(file_key))
        return any(committed and not committed.gone_ns and self._is_ours(committed) for committed in known)

    async def _unknown_archives(self, beside: list[FoundFile]) -> list[FoundFile]:
        """Those that nobody reads or has read: by how they begin, as the oldest file's inode is free for the newest."""
        archives = [file for file in beside if file.is_archive and file.file_key not in self._readers]
        known = await self._known_archives(archives)
        return [file for file in archives if file.file_key not in known]

    async def _known_archives(self, archives: list[FoundFile]) -> set[FileKey]:
        """Of compressed files in one directory those that may have been read; all where it does not answer."""
        seen = [(file, self._incarnations.at(file.file_key)) for file in archives]
        if not seen:
            return set()
        try:
            return await self._calls.run(str(archives[0].path.parent), partial(known_archives, seen))
        except TimeoutError:
            return {file.file_key for file in archives}

    async def _siblings(self, path: Path) -> list[FoundFile]:
        return await self._calls.run(str(path.parent), partial(siblings, path))

    def _start(self, file: FoundFile, *, from_end: bool = False, only: str = "") -> FileReader:
        reader = FileReader(file, self._settings, from_end=from_end, only=only)
        self._readers[file.file_key] = reader
        reader.start()
        return reader

    def _read_for(self, file: FoundFile, identity: str) -> None:
        """Have a file read that has what is not committed yet of an incarnation; others of its content are not wanted.

        Without an incarnation all of it is.
        """
        reader = self._readers.get(file.file_key)
        if reader:
            reader.wake()
        else:
            followed = file.file_key in self._incarnations.present
            self._start(file if followed else self._as_source(file, identity), only="" if followed else identity)

    def _as_source(self, file: FoundFile, identity: str) -> FoundFile:
        """The file, its lines read as those of the source that the incarnation belongs to."""
        committed = self._incarnations.get(identity)
        path = Path(path_of(committed.path)) if committed else file.path
        source = next((source for source in self._sources if source.means(path)), None)
        return replace(file, options=source.options) if source else file

    async def _settle(self, found: dict[FileKey, FoundFile]) -> None:
        """Find out what became of files that no followed path leads to any more, known ones and others."""
        try:
            while self._lost:
                await self._rotations.unopened(*self._lost[0])
                del self._lost[0]
            for committed in self._unchanged(filter(self._is_ours, self._incarnations.unsettled())):
                await self._tried(self._rotations.truncated(committed))
            beside = await self._beside(found)
            for committed in self._unchanged(
                [committed for committed in self._incarnations.all() if self._is_missing(committed, found)]
            ):
                files = beside.get(Path(path_of(committed.path)).parent)
                if files is not None:
                    seen_bytes = self._seen_bytes.get(committed.identity.id, 0)
                    there = {file.file_key: file for file in files}
                    if await self._tried(self._rotations.missing(committed, there, seen_bytes)):
                        self._seen_bytes.pop(committed.identity.id, None)
            # Who waits for an archive gets it: read by another it would be lost to the first.
            await self._read_unseen(found, beside, await self._find_unopened(self._unopened_gone(found)))
        except LogriverError as error:
            log.warning("what became of files that are gone is not found out yet: %s", error)
            self._settle_at = 0

    async def _read_unseen(
        self, found: dict[FileKey, FoundFile], beside: dict[Path, list[FoundFile]], awaited: set[FileKey]
    ) -> None:
        """Have rotated files read that nobody saw, but for those `awaited`. `beside` is by directory."""
        archives, known = list[FoundFile](), set[FileKey]()
        for files in beside.values():
            compressed = [file for file in files if file.is_archive]
            archives += compressed
            known |= await self._known_archives(compressed)
        for file in unseen(found.values(), beside, self._incarnations, known):
            if file.file_key not in self._readers and file.file_key not in awaited:
                reader = self._start(file)
                if file.real_path.suffix in ARCHIVES:
                    reader.read_archive(file)
        moved_to = {committed.moved_to for committed in self._incarnations.all()}
        self._archives = frozenset(file.file_key for file in archives if file.file_key in moved_to)

    async def _beside(self, found: dict[FileKey, FoundFile]) -> dict[Path, list[FoundFile]]:
        """What lies in the directories of all files, by directory; those that do not answer are left out."""
        beside: dict[Path, list[FoundFile]] = {}
        known = {Path(path_of(committed.path)) for committed in self._incarnations.all()}
        for path in {file.path for file in found.values()} | known:
            if path.parent not in beside:
                try:
                    beside[path.parent] = await self._siblings(path)
                except OSError as error:
                    self._settle_again(error)
        return beside

    async def _tried(self, settling: Awaitable[None]) -> bool:
        """Settle one file; where its file system does not answer, the others' turn comes all the same."""
        try:
            await settling
        except OSError as error:
            self._settle_again(error)
            return False
        return True

    def _settle_again(self, error: OSError) -> None:
        log.info("what became of a file that is gone is not found out yet: %s", error)
        self._settle_at = min(self._settle_at, clock.monotonic() + _SETTLE_AGAIN_SECONDS)

    def _means(self, path: Path) -> bool:
        """Whether a path is one that is followed. A server and an agent on one machine have one name and one ledger."""
        return any(source.means(path) for source in self._sources)

    def _is_ours(self, committed: Committed) -> bool:
        """Whether it is for us to find out what became of it."""
        return self._incarnations.displaced(committed) or self._means(Path(path_of(committed.path)))

    def _unchanged(self, several: Iterable[Committed]) -> Iterator[Committed]:
        """Those that nobody has taken over or settled, when their turn comes: each may take long."""
        for committed in several:
            if self._incarnations.get(committed.identity.id) is committed and not self._incarnations.claimed(committed):
                yield committed

    def _is_missing(self, committed: Committed, found: dict[FileKey, FoundFile]) -> bool:
        gone = committed.over or committed.gone_ns or self._incarnations.displaced(committed)
        elsewhere = committed.file_key not in found and committed.file_key not in self._readers
        return not gone and elsewhere and self._is_ours(committed)

    async def _gone(self, key: FileKey) -> None:
        """No path leads to the file any more: read what is left of it, later let go."""
        reader, now = self._readers[key], clock.monotonic()
        reader.rotated = True
        reader.wake()
        since = self._gone_since.setdefault(key, now)
        links, idle_seconds = reader.links_and_idle_seconds()
        kept_seconds = _KEPT_AFTER_RENAMED_SECONDS if links else _KEPT_AFTER_GONE_SECONDS
        if not reader.is_finished and (reader.busy or min(now - since, idle_seconds) < kept_seconds):
            return
        if reader.is_unopened:
            self._lose(reader, key)
        del self._readers[key], self._gone_since[key]
        if reader.identity and reader.unread_bytes and not links:
            self._seen_bytes[reader.identity.id] = reader.checkpoint.end + reader.unread_bytes
        await reader.stop(_STOP_SECONDS)
        # What became of it is found out with the next look.
        self._settle_at = 0

    def _lose(self, reader: FileReader, key: FileKey) -> None:
        """What an unopened file was seen to have is nowhere; the next look records that."""
        if reader.seen.st_size:
            self._lost.append((reader.path, key, reader.seen.st_size))
            self._settle_at = 0


def _wake_if_changed(reader: FileReader, file: FoundFile) -> None:
    seen, reader.seen = reader.seen, file.status
    reader.note_size(file.status.st_size)
    reader.lag.look(file.status.st_size, reader.checkpoint.end)
    same = (seen.st_size, seen.st_mtime_ns) == (file.status.st_size, file.status.st_mtime_ns)
    if not same or reader.unfinished:
        reader.wake()
