"""Following files into a sink: finds them, has a reader task for each, wakes those that changed.

A file is known by device and inode and read once, whatever paths lead to it; its source is the first path found.
"""

import asyncio
import logging
from collections.abc import Iterable, Iterator
from contextlib import aclosing
from dataclasses import replace
from itertools import chain
from pathlib import Path

from logriver import clock
from logriver.clock import Zone
from logriver.errors import LogriverError
from logriver.follow.generations import Generations, Place
from logriver.follow.journal import Journal, journals_of
from logriver.follow.open_files import MAX_OPEN, OpenFiles
from logriver.follow.paths import ARCHIVES, FoundFile, Source, siblings, sources_of
from logriver.follow.reader import AT_ONCE, FileReader, ReaderSettings
from logriver.follow.settle import Settling
from logriver.follow.sources import SourceStatus, statuses
from logriver.follow.unseen import compressed_since, known_archives, rotated_from, unseen
from logriver.follow.watch import POLL_SECONDS, wakings
from logriver.record import Held, Sink
from logriver.settings import FollowSettings

log = logging.getLogger(__name__)

# How soon a path that is not known yet makes us look again: a busy directory has many that are not ours.
_LOOK_AGAIN_SECONDS = 0.2
# Where there are thousands of files, the pause is so many times as long as the look, but not longer than
_PAUSE_PER_LOOK = 5
_LONGEST_PAUSE_SECONDS = 5.0
_KEPT_AFTER_GONE_SECONDS = 60.0
# A file that was renamed out of the pattern is read on for as long as somebody may still write to it.
_KEPT_AFTER_RENAMED_SECONDS = 3600.0
_SETTLE_SECONDS = 300.0


class Follower:
    """Follows what the settings say, under the name that the sink's ledger knows it by."""

    def __init__(
        self,
        sink: Sink,
        settings: FollowSettings,
        *,
        zone: Zone = clock.local_offset_seconds,
        max_open: int = MAX_OPEN,
        at_once: int = AT_ONCE,
    ) -> None:
        """`zone` is that of times and sources that name none, `max_open` how many files are open at one time.

        `at_once` is how many of them have a chunk in memory.
        Raises `SettingsError` for a source that cannot be read.
        """
        self.name = settings.follower_name
        self._sources = sources_of(settings)
        # Only of what is there at the very first look.
        self._from_end = settings.from_end
        self.problems: list[str] = []
        journals = journals_of(settings)
        self._journals = [Journal(path, labels, settings, sink) for path, labels in journals.items()]
        self._generations = Generations(self.name, sink)
        self._settling = Settling(self._generations, lambda: list(self._files().values()), self._read_for)
        self._settings = ReaderSettings(
            self._generations,
            settings.max_record_bytes,
            zone,
            self._truncated,
            asyncio.Semaphore(at_once),
            OpenFiles(max_open),
        )
        self._readers: dict[Place, FileReader] = {}
        self._tasks: dict[Place, asyncio.Task[None]] = {}
        self._gone_since: dict[Place, float] = {}
        self._by_path: dict[str, FileReader] = {}
        self._directories: set[Path] = set()
        self._empty: list[Source] = self._sources
        self._archives: frozenset[Place] = frozenset()
        self._settle_at = 0.0
        self._doubts_ledger = False
        # Files that were gone before they could be opened, and how long they were; not in the ledger yet.
        self._lost: list[tuple[str, Place, int]] = []

    def doubt_ledger(self) -> None:
        """The sink may know less than it did: it is asked, and if so, everything is read on from where it ends now."""
        self._doubts_ledger = True

    async def run(self) -> None:
        """Follow until cancelled. Stopping is safe at any point, and so is running again after whatever this raises.

        What nobody foresaw is one of the `problems` until following goes on.
        """
        while True:
            await self._run_while_ledger_grows()
            log.warning("the server holds less than it did: going back to where its ledger ends")
            self._generations.forget()

    async def _run_while_ledger_grows(self) -> None:
        journals = [asyncio.create_task(journal.run()) for journal in self._journals]
        try:
            await self._generations.load()
            self._forget_readers()
            looked, took_seconds = await self._timed_look()
            changes = wakings(lambda: self._directories)
            async with aclosing(changes):
                async for changed in changes:
                    if self._doubts_ledger and await self._ledger_went_back():
                        return
                    for path in changed & self._by_path.keys():
                        self._by_path[path].wake()
                    pause = _LOOK_AGAIN_SECONDS if changed - self._by_path.keys() else POLL_SECONDS
                    pause = max(pause, min(took_seconds * _PAUSE_PER_LOOK, _LONGEST_PAUSE_SECONDS))
                    if clock.monotonic() - looked >= pause:
                        looked, took_seconds = await self._timed_look()
        except Exception:
            self.problems = ["following files stopped by an internal error, the own log says which"]
            raise
        finally:
            tasks = [*journals, *self._tasks.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _ledger_went_back(self) -> bool:
        self._doubts_ledger = False
        try:
            return await self._generations.ledger_went_back()
        except LogriverError as error:
            log.info("the ledger is not asked yet: %s", error)
            self._doubts_ledger = True
            return False

    async def _truncated(self, held: Held, seen_bytes: int) -> None:
        """See `Settling.truncated`. Files beside it may be known for unseen ones by what that finds."""
        await self._settling.truncated(held, seen_bytes)
        self._settle_at = 0

    def _forget_readers(self) -> None:
        """Those of a run before, which ended with it: every file needs a new one."""
        self._readers, self._tasks, self._gone_since, self._by_path = {}, {}, {}, {}
        self._settle_at = 0

    def sources(self) -> list[SourceStatus]:
        """How far each file is followed, what is lost of it, and which sources have no file yet."""
        empty = (
            SourceStatus(str(source.path), source.rules.format or "", 0, 0, 0, "no such file yet")
            for source in self._empty
        )
        shown = statuses(list(self._readers.values()), self._generations, self._means)
        seen = {status.path for status in shown}
        journals = (journal.status() for journal in self._journals)
        return [*shown, *(status for status in empty if status.path not in seen), *journals]

    def places(self) -> frozenset[Place]:
        """Where the files lie whose lines the sink has or will have: followed ones, and rotated ones of those.

        Of a file that is gone it is the archive that was read for it, as long as one lies there: its own place may be
        another file's by now.
        """
        known = (held.place for held in self._generations.all() if not (held.over or held.gone_ns))
        return frozenset(chain(self._readers, self._generations.present, self._archives, known))

    def _files(self) -> dict[Place, FoundFile]:
        """Every file that is followed, by the first path that leads to it. Blocking."""
        found: dict[Place, FoundFile] = {}
        for file in chain.from_iterable(source.files() for source in self._sources):
            found.setdefault(file.place, file)
        return found

    async def _timed_look(self) -> tuple[float, float]:
        """Look; gives when that was done, and how long it took."""
        began = clock.monotonic()
        await self._look()
        self._from_end, self.problems = False, []
        now = clock.monotonic()
        return now, now - began

    async def _look(self) -> None:
        """Find new files, wake the readers of those that changed, let go of those that are gone."""
        found_by_source = await asyncio.to_thread(lambda: [source.files() for source in self._sources])
        self._empty = [source for source, files in zip(self._sources, found_by_source, strict=True) if not files]
        found: dict[Place, FoundFile] = {}
        directories = {str(source.directory()) for source in self._sources}
        for file in chain.from_iterable(found_by_source):
            found.setdefault(file.place, file)
            # Of thousands of paths, as text: each directory becomes a path once.
            directories |= {str(path).rpartition("/")[0] or "/" for path in (file.path, file.real_path)}
        self._directories = set(map(Path, directories))
        self._generations.present = set(found)
        if self._settle_at <= clock.monotonic():
            self._settle_at = clock.monotonic() + _SETTLE_SECONDS
            await self._settle(found)
        by_path: dict[str, FileReader] = {}
        for key, file in found.items():
            reader = self._readers.get(key) or self._start(file, from_end=self._from_end)
            if key in self._gone_since and reader.is_unopened and file.status.st_size < reader.seen.st_size:
                # Another file has the inode of the one that went.
                await self._find_unopened({key: reader})
                if key in self._readers:
                    self._lose(reader, key)
                else:
                    reader = self._start(file)
            by_path[str(file.path)] = by_path[str(file.real_path)] = reader
            reader.where, reader.rotated = file.real_path, str(file.path) != reader.first_path
            if reader.generation:
                self._generations.moved(reader.generation, file.real_path)
            _wake_if_changed(reader, file)
        self._by_path = by_path
        gone = self._readers.keys() - found.keys()
        await self._find_unopened({key: self._readers[key] for key in gone if self._readers[key].is_unopened})
        for key in self._readers.keys() - found.keys():
            self._gone(key)
        for key in self._gone_since.keys() & found.keys():
            del self._gone_since[key]

    async def _find_unopened(self, readers: dict[Place, FileReader]) -> None:
        """Files that were rotated before they could be opened: those before them may wait for the sink for long.

        Their names tell, as in `unseen`: by now the inode may be that of a file of others.
        """
        for path in {Path(reader.first_path) for reader in readers.values()}:
            beside = await asyncio.to_thread(siblings, path)
            rotated = {file.place: file for file in beside if rotated_from(file.path) == path and not file.is_archive}
            unknown = await self._unknown_archives(beside)
            for key, reader in readers.items():
                if Path(reader.first_path) != path or not reader.is_unopened:
                    continue
                if key in rotated:
                    reader.where = rotated[key].real_path
                    # It is gone from the moment on in which it is not beside its path any more.
                    self._gone_since[key] = clock.monotonic()
                elif not (archive := compressed_since(path, reader.seen, unknown)):
                    continue
                elif self._generations.known_at(archive.place):
                    # It has the inode of a file that is found out to be gone first. Until then it is not lost.
                    self._gone_since[key] = clock.monotonic()
                    self._settle_at = 0
                else:
                    # Its own inode may be a new file's soon, which needs a reader of its own.
                    reader.read_archive(archive)
                    unknown.remove(archive)
                    self._readers[archive.place] = self._readers.pop(key)
                    self._tasks[archive.place] = self._tasks.pop(key)
                    self._gone_since.pop(key, None)

    async def _unknown_archives(self, beside: list[FoundFile]) -> list[FoundFile]:
        """Those that nobody reads or has read: by how they begin, as the oldest file's inode is free for the newest."""
        archives = [file for file in beside if file.is_archive and file.place not in self._readers]
        seen = [(file, self._generations.at(file.place)) for file in archives]
        known = await asyncio.to_thread(known_archives, seen)
        return [file for file in archives if file.place not in known]

    def _start(self, file: FoundFile, *, from_end: bool = False, only: str = "") -> FileReader:
        reader = FileReader(file, self._settings, from_end=from_end, only=only)
        self._readers[file.place] = reader
        self._tasks[file.place] = asyncio.create_task(reader.run())
        self._tasks[file.place].add_done_callback(lambda task: _report(reader, task))
        return reader

    def _read_for(self, file: FoundFile, generation: str) -> None:
        """Have a file read that has what is not held yet of a generation; others of its content are not wanted.

        Without a generation all of it is.
        """
        reader = self._readers.get(file.place)
        if reader:
            reader.wake()
        else:
            followed = file.place in self._generations.present
            self._start(file if followed else self._as_source(file, generation), only="" if followed else generation)

    def _as_source(self, file: FoundFile, generation: str) -> FoundFile:
        """The file, its lines read as those of the source that the generation belongs to."""
        held = self._generations.get(generation)
        path = Path(held.path) if held else file.path
        source = next((source for source in self._sources if source.means(path)), None)
        return replace(file, rules=source.rules) if source else file

    async def _settle(self, found: dict[Place, FoundFile]) -> None:
        """Find out what became of files that no followed path leads to any more, known ones and others."""
        try:
            while self._lost:
                await self._settling.unopened(*self._lost[0])
                del self._lost[0]
            for held in self._unchanged(filter(self._is_ours, self._generations.unsettled())):
                await self._settling.truncated(held)
            beside: dict[Path, list[FoundFile]] = {}
            for path in {file.path for file in found.values()} | {Path(held.path) for held in self._generations.all()}:
                if path.parent not in beside:
                    beside[path.parent] = await asyncio.to_thread(siblings, path)
            for held in self._unchanged([held for held in self._generations.all() if self._is_missing(held, found)]):
                await self._settling.missing(held, {file.place: file for file in beside[Path(held.path).parent]})
            archives = [file for file in chain.from_iterable(beside.values()) if file.is_archive]
            seen = [(file, self._generations.at(file.place)) for file in archives]
            known = await asyncio.to_thread(known_archives, seen)
            for file in unseen(found.values(), beside, self._generations, known):
                if file.place not in self._readers:
                    reader = self._start(file)
                    if file.real_path.suffix in ARCHIVES:
                        reader.read_archive(file)
            moved_to = {held.moved_to for held in self._generations.all()}
            self._archives = frozenset(file.place for file in archives if file.place in moved_to)
        except (OSError, LogriverError) as error:
            log.warning("what became of files that are gone is not found out yet: %s", error)
            self._settle_at = 0

    def _means(self, path: Path) -> bool:
        """Whether a path is one that is followed. A server and an agent on one machine have one name and one ledger."""
        return any(source.means(path) for source in self._sources)

    def _is_ours(self, held: Held) -> bool:
        """Whether it is for us to find out what became of it."""
        return self._generations.displaced(held) or self._means(Path(held.path))

    def _unchanged(self, several: Iterable[Held]) -> Iterator[Held]:
        """Those that nobody has taken over or settled, when their turn comes: each may take long."""
        for held in several:
            if self._generations.get(held.generation.id) is held and not self._generations.claimed(held):
                yield held

    def _is_missing(self, held: Held, found: dict[Place, FoundFile]) -> bool:
        gone = held.over or held.gone_ns or self._generations.displaced(held)
        elsewhere = held.place not in found and held.place not in self._readers
        return not gone and elsewhere and self._is_ours(held)

    def _gone(self, key: Place) -> None:
        """No path leads to the file any more: read what is left of it, later let go."""
        reader, now = self._readers[key], clock.monotonic()
        reader.rotated = True
        reader.wake()
        since = self._gone_since.setdefault(key, now)
        links, idle_seconds = reader.links_and_idle_seconds()
        kept_seconds = _KEPT_AFTER_RENAMED_SECONDS if links else _KEPT_AFTER_GONE_SECONDS
        if not self._tasks[key].done() and (reader.busy or min(now - since, idle_seconds) < kept_seconds):
            return
        if reader.is_unopened:
            self._lose(reader, key)
        self._tasks.pop(key).cancel()
        del self._readers[key], self._gone_since[key]
        if reader.generation:
            self._generations.release(reader.generation)
        # What became of it is found out with the next look.
        self._settle_at = 0

    def _lose(self, reader: FileReader, key: Place) -> None:
        """What an unopened file was seen to have is nowhere; the next look records that."""
        if reader.seen.st_size:
            self._lost.append((reader.first_path, key, reader.seen.st_size))
            self._settle_at = 0


def _wake_if_changed(reader: FileReader, file: FoundFile) -> None:
    seen, reader.seen = reader.seen, file.status
    reader.unheld.look(file.status.st_size, reader.mark.end)
    same = (seen.st_size, seen.st_mtime_ns) == (file.status.st_size, file.status.st_mtime_ns)
    if not same or reader.unfinished:
        reader.wake()


def _report(reader: FileReader, task: asyncio.Task[None]) -> None:
    """A reader that ends by an error that nobody foresaw says so; the others go on."""
    error = None if task.cancelled() else task.exception()
    if error:
        reader.error = f"stopped by an internal error: {error!r}"
        log.error("following %s stopped by an internal error", reader.where, exc_info=error)
