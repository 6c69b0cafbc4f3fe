"""One followed file: its lines into a sink, the byte range with each batch.

The sink's ledger is the only checkpoint: it is asked where to go on, and the file's mark moves only when a receipt says
that the bytes before it are on disk. So stopping at any point neither loses nor doubles a line.
"""

import asyncio
import logging
import os
from dataclasses import dataclass

from logriver import clock, metrics
from logriver.clock import Zone
from logriver.errors import LogriverError, Overloaded, RangeConflict
from logriver.follow.growing_file import Chunk, GrowingFile, Mark, NotTheSame
from logriver.follow.paths import FoundFile
from logriver.protocols.formats import SAMPLE_LINES, Decode, decoder, recognise
from logriver.record import Batch, Decoded, FileRange, Generation, Sink

log = logging.getLogger(__name__)

_SAMPLE_BYTES = 64 * 1024
_LONGEST_WAIT_SECONDS = 30
_BEING_WRITTEN_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """How far a file is followed. `last_event_ns` is when lines of it last reached the disk, 0 for never."""

    path: str
    format: str
    held_bytes: int
    size_bytes: int
    last_event_ns: int
    error: str

    @property
    def lag_bytes(self) -> int:
        """What the file has and the sink does not."""
        return max(0, self.size_bytes - self.held_bytes)


@dataclass(frozen=True, slots=True)
class ReaderSettings:
    """What the readers of one follower have in common. `slots` bounds how many files have a chunk in memory."""

    name: str
    sink: Sink
    max_record_bytes: int
    zone: Zone
    slots: asyncio.Semaphore


class FileReader:
    """Follows one file from its first sight on; `run` is its task."""

    def __init__(self, found: FoundFile, settings: ReaderSettings, *, from_end: bool = False) -> None:
        """With `from_end` the lines that a never-seen file has by now are left out."""
        self.path = found.path
        self.seen = found.status
        self.error = ""
        self.busy = False
        self._settings = settings
        self._format = found.format
        self._old_bytes = found.status.st_size if from_end else 0
        self._decode: Decode | None = None
        self._decodes = ""
        self._certain = False
        self._file: GrowingFile | None = None
        self._generation: Generation | None = None
        self._last_event_ns = 0
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """The file may have changed."""
        self._wake.set()

    def status(self) -> SourceStatus:
        """How far it is, as last seen."""
        held = self._file.mark.end if self._file else 0
        size = max(held, self.seen.st_size)
        return SourceStatus(str(self.path), self._format or self._decodes, held, size, self._last_event_ns, self.error)

    async def run(self) -> None:
        """Follow until cancelled, or until the file is no longer the one that it was."""
        try:
            while True:
                self._wake.clear()
                if not await self._catch_up():
                    return
                await self._wake.wait()
        finally:
            if self._file:
                self._file.close()

    async def _catch_up(self) -> bool:
        """Everything there is, for now; False once this generation is over."""
        try:
            self.busy = True
            while await self._step():
                self.error = ""
            self.error = ""
        except NotTheSame as difference:
            self.error = f"no longer followed, the file has changed: {difference}"
            log.warning("%s is no longer followed, the file has changed: %s", self.path, difference)
            return False
        except (OSError, LogriverError) as error:
            # The follower wakes a reader with an error once a second.
            if str(error) != self.error:
                log.warning("%s cannot be followed now: %s", self.path, error)
            self.error = str(error)
        finally:
            self.busy = False
        return True

    async def _step(self) -> bool:
        """One chunk from the file to the sink; False when there was none."""
        async with self._settings.slots:
            if self._file is None:
                self._file = self._open()
            if self._generation is None:
                self._generation = await self._attach(self._file)
            if self._generation is None:
                return False
            found = await asyncio.to_thread(self._next, self._file)
            if found is None:
                return False
            await self._hand_over(self._file, self._generation, *found)
            return True

    def _open(self) -> GrowingFile:
        file = GrowingFile(self.path, self._settings.max_record_bytes)
        if not os.path.samestat(file.stat(), self.seen):
            file.close()
            raise FileNotFoundError("another file took its path before it was opened")
        return file

    async def _attach(self, file: GrowingFile) -> Generation | None:
        """Find out which generation this is and go where the sink's ledger ends; None if there is no line yet."""
        status = file.stat()
        known = await self._settings.sink.known(self._settings.name, status.st_dev, status.st_ino)
        found = await asyncio.to_thread(file.identify, self._settings.name, known)
        if found is None:
            return None
        generation, held = found
        if held:
            file.move_to(Mark(held.end, held.crc, held.tail))
        elif self._old_bytes:
            old = await asyncio.to_thread(file.old_lines, self._old_bytes)
            await self._hand_over(file, generation, old, Decoded())
        return generation

    def _next(self, file: GrowingFile) -> tuple[Chunk, Decoded] | None:
        chunk = file.next_chunk()
        if chunk is None:
            return None
        if chunk.too_long:
            return chunk, Decoded(refused=[chunk.too_long])
        decode = self._decoder(file)
        return chunk, decode(chunk.lines, chunk.start, clock.now_ns())

    def _decoder(self, file: GrowingFile) -> Decode:
        """The decoder of the file's format, which is recognised anew until there are lines enough to be certain."""
        if self._decode and self._certain:
            return self._decode
        name = self._format
        if name is None:
            head = file.head(_SAMPLE_BYTES)
            self._certain = len(head) == _SAMPLE_BYTES or head.count(b"\n") >= SAMPLE_LINES
            name = recognise(head[: head.rfind(b"\n") + 1] or head)
        else:
            self._certain = True
        if self._decode is None or name != self._decodes:
            self._decode = decoder(name, self._settings.max_record_bytes, self._settings.zone)
            self._decodes = name
        return self._decode

    async def _hand_over(self, file: GrowingFile, generation: Generation, chunk: Chunk, decoded: Decoded) -> None:
        """Put the chunk's records into the sink; on return the file's mark is where the ledger ends."""
        path, after = str(self.path), chunk.after
        covers = FileRange(generation, path, chunk.start, after.end, after.crc, after.tail)
        try:
            await self._put(Batch(decoded, source=path, range=covers, dead=decoded.refused))
        except RangeConflict as conflict:
            if conflict.held_end == chunk.start:
                # An earlier try of ours, cancelled here, is still being written there.
                await asyncio.sleep(_BEING_WRITTEN_SECONDS)
                return
            log.warning("%s: byte %d does not continue what is held: %s", path, chunk.start, conflict.hint)
            await asyncio.to_thread(file.go_to, conflict.held_end)
            return
        file.move_to(after)
        self._last_event_ns = clock.now_ns()
        metrics.followed_bytes.inc(after.end - chunk.start)

    async def _put(self, batch: Batch) -> None:
        """Put `batch` into the sink, waiting for as long as it is overloaded."""
        wait_seconds = 0
        while True:
            try:
                receipt = await self._settings.sink.put(batch)
            except Overloaded as error:
                if not self.error:
                    log.warning("%s has to wait: %s", self.path, error)
                self.error = error.message
                wait_seconds = min(max(error.retry_after_seconds, wait_seconds * 2), _LONGEST_WAIT_SECONDS)
                await asyncio.sleep(wait_seconds)
            else:
                metrics.accepted.labels("follow").inc(receipt.accepted)
                metrics.rejected.labels("follow").inc(len(batch.dead))
                return
