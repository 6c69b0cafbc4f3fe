"""Following files into a sink: finds them, has a reader task for each, wakes those that changed.

A file is known by device and inode and read once, whatever paths lead to it; its source is the first path found.
"""

import asyncio
import logging
import os
from contextlib import aclosing
from itertools import chain
from pathlib import Path

from logriver import clock
from logriver.clock import Zone
from logriver.follow.paths import FoundFile, Source
from logriver.follow.reader import FileReader, ReaderSettings, SourceStatus
from logriver.follow.watch import POLL_SECONDS, wakings
from logriver.record import Sink

log = logging.getLogger(__name__)

MAX_FILES = 800
"""Files open at one time; below the usual limit of 1024 descriptors."""
_READING_AT_ONCE = 8
# How soon a path that is not known yet makes us look again: a busy directory has many that are not ours.
_LOOK_AGAIN_SECONDS = 0.2
_KEPT_AFTER_GONE_SECONDS = 60.0

_FileId = tuple[int, int]


class Follower:
    """Follows `sources`, each `[FORMAT=]PATH`, under the name that the sink's ledger knows them by."""

    def __init__(
        self,
        sink: Sink,
        sources: list[str],
        *,
        name: str,
        max_record_bytes: int,
        from_end: bool = False,
        zone: Zone = clock.local_offset_seconds,
    ) -> None:
        """`from_end`: of files never seen that are there at the start, only what is added is read.

        Raises `SettingsError` for a source that cannot be read.
        """
        self._sources = [Source(text) for text in sources]
        self._from_end = from_end
        slots = asyncio.Semaphore(_READING_AT_ONCE)
        self._settings = ReaderSettings(name, sink, max_record_bytes, zone, slots)
        self._readers: dict[_FileId, FileReader] = {}
        self._tasks: dict[_FileId, asyncio.Task[None]] = {}
        self._gone_since: dict[_FileId, float] = {}
        self._by_path: dict[str, FileReader] = {}
        self._directories: set[Path] = set()
        self._empty: list[Source] = self._sources
        self._full = False

    async def run(self) -> None:
        """Follow until cancelled. Stopping is safe at any point."""
        try:
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
        """How far each file is followed, and which sources have no file yet."""
        followed = [reader.status() for reader in self._readers.values()]
        empty = (
            SourceStatus(str(source.path), source.format or "", 0, 0, 0, "no such file yet") for source in self._empty
        )
        return [*followed, *empty]

    async def _look(self, *, first: bool = False) -> None:
        """Find new files, wake the readers of those that changed, let go of those that are gone."""
        found_by_source = await asyncio.to_thread(lambda: [list(source.files()) for source in self._sources])
        self._empty = [source for source, files in zip(self._sources, found_by_source, strict=True) if not files]
        found: dict[_FileId, FoundFile] = {}
        self._directories = {source.directory() for source in self._sources}
        for file in chain.from_iterable(found_by_source):
            key = (file.status.st_dev, file.status.st_ino)
            found.setdefault(key, file)
            self._directories |= {file.path.parent, file.real_path.parent}
        for key, file in found.items():
            reader = self._readers.get(key) or self._start(key, file, first)
            if reader:
                self._by_path |= {str(file.path): reader, str(file.real_path): reader}
                _wake_if_changed(reader, file.status)
        for key in self._readers.keys() - found.keys():
            self._gone(key)
        for key in self._gone_since.keys() & found.keys():
            del self._gone_since[key]

    def _start(self, key: _FileId, file: FoundFile, first: bool) -> FileReader | None:
        if len(self._readers) >= MAX_FILES:
            if not self._full:
                log.error("more than %d files: %s and others are not followed", MAX_FILES, file.path)
            self._full = True
            return None
        reader = FileReader(file, self._settings, from_end=first and self._from_end)
        self._readers[key] = reader
        self._tasks[key] = asyncio.create_task(reader.run())
        self._tasks[key].add_done_callback(lambda task: _report(reader, task))
        return reader

    def _gone(self, key: _FileId) -> None:
        """No path leads to the file any more: read what is left of it, later let go."""
        reader, now = self._readers[key], clock.monotonic()
        reader.wake()
        since = self._gone_since.setdefault(key, now)
        if self._tasks[key].done() or (not reader.busy and now - since > _KEPT_AFTER_GONE_SECONDS):
            self._tasks.pop(key).cancel()
            del self._readers[key], self._gone_since[key]
            self._by_path = {path: other for path, other in self._by_path.items() if other is not reader}
            self._full = False


def _wake_if_changed(reader: FileReader, status: os.stat_result) -> None:
    seen, reader.seen = reader.seen, status
    same = (seen.st_size, seen.st_mtime_ns) == (status.st_size, status.st_mtime_ns)
    if not same or reader.error:
        reader.wake()


def _report(reader: FileReader, task: asyncio.Task[None]) -> None:
    """A reader that ends by an error that nobody foresaw says so; the others go on."""
    error = None if task.cancelled() else task.exception()
    if error:
        reader.error = f"stopped by an internal error: {error!r}"
        log.error("following %s stopped by an internal error", reader.path, exc_info=error)
