"""Following files into a sink: finds them, has a reader task for each, wakes those that changed.

A file is known by device and inode and read once, whatever paths lead to it; its source is the first path found.
"""

import asyncio
import logging
from contextlib import aclosing
from itertools import chain
from pathlib import Path

from logriver import clock
from logriver.clock import Zone
from logriver.errors import LogriverError
from logriver.follow.generations import Generations, Place
from logriver.follow.open_files import MAX_OPEN, OpenFiles
from logriver.follow.paths import FoundFile, Source, siblings
from logriver.follow.reader import FileReader, ReaderSettings
from logriver.follow.settle import Settling
from logriver.follow.sources import SourceStatus, statuses
from logriver.follow.unseen import unseen
from logriver.follow.watch import POLL_SECONDS, wakings
from logriver.record import Held, Sink

log = logging.getLogger(__name__)

# How soon a path that is not known yet makes us look again: a busy directory has many that are not ours.
_LOOK_AGAIN_SECONDS = 0.2
_KEPT_AFTER_GONE_SECONDS = 60.0
# A file that was renamed out of the pattern is read on for as long as somebody may still write to it.
_KEPT_AFTER_RENAMED_SECONDS = 3600.0
_SETTLE_SECONDS = 300.0


class Follower:
    """Follows `sources`, each `[[FORMAT][@ZONE]=]PATH`, under the name that the sink's ledger knows them by."""

    def __init__(
        self,
        sink: Sink,
        sources: list[str],
        *,
        name: str,
        max_record_bytes: int,
        from_end: bool = False,
        zone: Zone = clock.local_offset_seconds,
        max_open: int = MAX_OPEN,
    ) -> None:
        """`from_end`: of files never seen that are there at the start, only what is added is read.

        `max_open` is how many files are open at one time. Raises `SettingsError` for a source that cannot be read.
        """
        self._sources = [Source(text) for text in sources]
        self._from_end = from_end
        self._generations = Generations(name, sink)
        self._settling = Settling(self._generations, lambda: list(self._files().values()), self._read_for)
        self._settings = ReaderSettings(
            self._generations, max_record_bytes, zone, self._settling.truncated, open_files=OpenFiles(max_open)
        )
        self._readers: dict[Place, FileReader] = {}
        self._tasks: dict[Place, asyncio.Task[None]] = {}
        self._gone_since: dict[Place, float] = {}
        self._by_path: dict[str, FileReader] = {}
        self._directories: set[Path] = set()
        self._empty: list[Source] = self._sources
        self._settle_at = 0.0

    async def run(self) -> None:
        """Follow until cancelled. Stopping is safe at any point."""
        try:
            await self._generations.load()
            await self._look(first=True)
            looked = clock.monotonic()
            changes = wakings(lambda: self._directories)
            async with aclosing(changes):
                async for changed in changes:
                    for path in changed & self._by_path.keys():
                        self._by_path[path].wake()
                    pause = _LOOK_AGAIN_SECONDS if changed - self._by_path.keys() else POLL_SECONDS
                    if clock.monotonic() - looked >= pause:
                        await self._look()
                        looked = clock.monotonic()
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def sources(self) -> list[SourceStatus]:
        """How far each file is followed, what is lost of it, and which sources have no file yet."""
        empty = (
            SourceStatus(str(source.path), source.format or "", 0, 0, 0, "no such file yet") for source in self._empty
        )
        shown = statuses(list(self._readers.values()), self._generations)
        seen = {status.path for status in shown}
        return [*shown, *(status for status in empty if status.path not in seen)]

    def _files(self) -> dict[Place, FoundFile]:
        """Every file that is followed, by the first path that leads to it. Blocking."""
        found: dict[Place, FoundFile] = {}
        for file in chain.from_iterable(source.files() for source in self._sources):
            found.setdefault(file.place, file)
        return found

    async def _look(self, *, first: bool = False) -> None:
        """Find new files, wake the readers of those that changed, let go of those that are gone."""
        found_by_source = await asyncio.to_thread(lambda: [list(source.files()) for source in self._sources])
        self._empty = [source for source, files in zip(self._sources, found_by_source, strict=True) if not files]
        found: dict[Place, FoundFile] = {}
        self._directories = {source.directory() for source in self._sources}
        for file in chain.from_iterable(found_by_source):
            found.setdefault(file.place, file)
            self._directories |= {file.path.parent, file.real_path.parent}
        self._generations.present = set(found)
        if self._settle_at <= clock.monotonic():
            self._settle_at = clock.monotonic() + _SETTLE_SECONDS
            await self._settle(found)
        by_path: dict[str, FileReader] = {}
        for key, file in found.items():
            reader = self._readers.get(key) or self._start(file, from_end=first and self._from_end)
            by_path |= {str(file.path): reader, str(file.real_path): reader}
            reader.where, reader.rotated = file.real_path, str(file.path) != reader.first_path
            _wake_if_changed(reader, file)
        self._by_path = by_path
        for key in self._readers.keys() - found.keys():
            await self._gone(key)
        for key in self._gone_since.keys() & found.keys():
            del self._gone_since[key]

    def _start(self, file: FoundFile, *, from_end: bool = False, only: str = "") -> FileReader:
        reader = FileReader(file, self._settings, from_end=from_end, only=only)
        self._readers[file.place] = reader
        self._tasks[file.place] = asyncio.create_task(reader.run())
        self._tasks[file.place].add_done_callback(lambda task: _report(reader, task))
        return reader

    def _read_for(self, file: FoundFile, generation: str) -> None:
        """Have a file read that has what is not held yet of a generation; others of its content are not wanted."""
        reader = self._readers.get(file.place)
        if reader:
            reader.wake()
        else:
            followed = file.place in self._generations.present
            self._start(file, only="" if followed else generation)

    async def _settle(self, found: dict[Place, FoundFile]) -> None:
        """Find out what became of files that no followed path leads to any more, known ones and others."""
        try:
            for held in self._generations.unsettled():
                await self._settling.truncated(held)
            beside: dict[Path, list[FoundFile]] = {}
            for path in {file.path for file in found.values()} | {Path(held.path) for held in self._generations.all()}:
                if path.parent not in beside:
                    beside[path.parent] = await asyncio.to_thread(siblings, path)
            for held in [held for held in self._generations.all() if self._is_missing(held, found)]:
                await self._settling.missing(held, {file.place: file for file in beside[Path(held.path).parent]})
            for file in unseen(found.values(), beside, self._generations):
                if file.place not in self._readers:
                    self._start(file)
        except (OSError, LogriverError) as error:
            log.warning("what became of files that are gone is not found out yet: %s", error)
            self._settle_at = 0

    def _is_missing(self, held: Held, found: dict[Place, FoundFile]) -> bool:
        gone = held.over or held.gone_ns or self._generations.displaced(held)
        return not gone and held.place not in found and held.place not in self._readers

    async def _gone(self, key: Place) -> None:
        """No path leads to the file any more: read what is left of it, later let go."""
        reader, now = self._readers[key], clock.monotonic()
        reader.rotated = True
        reader.wake()
        since = self._gone_since.setdefault(key, now)
        links, idle_seconds = reader.links_and_idle_seconds()
        kept_seconds = _KEPT_AFTER_RENAMED_SECONDS if links else _KEPT_AFTER_GONE_SECONDS
        if not self._tasks[key].done() and (reader.busy or min(now - since, idle_seconds) < kept_seconds):
            return
        self._tasks.pop(key).cancel()
        del self._readers[key], self._gone_since[key]
        if reader.generation:
            self._generations.release(reader.generation)
        # What became of it is found out with the next look.
        self._settle_at = 0


def _wake_if_changed(reader: FileReader, file: FoundFile) -> None:
    seen, reader.seen = reader.seen, file.status
    same = (seen.st_size, seen.st_mtime_ns) == (file.status.st_size, file.status.st_mtime_ns)
    if not same or reader.unfinished:
        reader.wake()


def _report(reader: FileReader, task: asyncio.Task[None]) -> None:
    """A reader that ends by an error that nobody foresaw says so; the others go on."""
    error = None if task.cancelled() else task.exception()
    if error:
        reader.error = f"stopped by an internal error: {error!r}"
        log.error("following %s stopped by an internal error", reader.where, exc_info=error)
