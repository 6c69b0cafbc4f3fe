"""One followed file: its lines into a sink, the byte range with each batch.

The sink's ledger alone is durable: it is asked where to go on, and the file's checkpoint moves only when a receipt says
that the bytes before it are on disk. So stopping at any point neither loses nor doubles a line. When the content of
the file changes under it, what became of the old one is settled first (`rotation.py`), then a new incarnation begins.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from logriver import clock, metrics
from logriver.decode.decoder import MakeDecoder, State
from logriver.errors import LogriverError, Overloaded, RangeConflict
from logriver.file_position import Committed, FileIdentity, FileKey, FileRange, Gap
from logriver.follow.archive import Archive
from logriver.follow.copy_detection import CopyDetection
from logriver.follow.file_calls import FileCalls
from logriver.follow.growing_file import HEAD_BYTES, Checkpoint, Chunk, GrowingFile, NotTheSame
from logriver.follow.incarnations import Incarnations
from logriver.follow.lag import Lag
from logriver.follow.line_format import LineFormat
from logriver.follow.open_files import OpenFiles
from logriver.follow.paths import FoundFile
from logriver.path_text import text_of
from logriver.record import Batch, Decoded
from logriver.threads import SupervisedTask

log = logging.getLogger(__name__)

AT_ONCE = 8
"""So many files of one follower have chunks in memory, unless it says otherwise."""
QUIET_SECONDS = 5.0
"""A last line without an end is taken after so long without a change,"""
ENDED_QUIET_SECONDS = 1.0
"""and after so long where the file was rotated or is gone: its writer may still be in the middle of the line.

A record that may go on in the next line waits as long, and not longer where lines of others go on to come.
"""
# A sink that says nothing else is asked again soon: it may be a server that was only started anew.
_LONGEST_WAIT_SECONDS, _LONGEST_OWN_WAIT_SECONDS = 30, 5
_BEING_WRITTEN_SECONDS = 0.05
# Then it is another file's turn.
_CHUNKS_IN_A_ROW = 8

Found = tuple[Chunk, Decoded, State]
"""What was read, and the state of the decoder behind it."""
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class ReaderSettings:
    """What the readers of one follower have in common. `slots` bounds how many files have chunks in memory, two each.

    `truncated` settles an incarnation whose file was seen with so many bytes and has other content now.
    """

    incarnations: Incarnations
    max_record_bytes: int
    make_decoder: MakeDecoder
    truncated: Callable[[Committed, int], Awaitable[None]]
    slots: asyncio.Semaphore
    open_files: OpenFiles
    calls: FileCalls


class FileReader:
    """Follows one file, whatever its path becomes, from `start` to `stop`. `path` is the spelling of the first one.

    The follower keeps `where` (a path that leads to it now), `seen` (its status) and `rotated` (its first path leads
    elsewhere).
    """

    def __init__(self, found: FoundFile, settings: ReaderSettings, *, from_end: bool = False, only: str = "") -> None:
        """With `from_end` the lines that a never-seen file has by now are left out. `only` as in `CopyDetection`.

        A compressed file that is read for one incarnation is read as what it holds, once.
        """
        self.first_path = found.path
        self.path = text_of(str(found.path))
        self.where = found.real_path
        self.seen = found.status
        self.rotated = False
        self.error = ""
        self.busy = False
        self.identity: FileIdentity | None = None
        self.checkpoint = Checkpoint()
        self.last_event_ns = 0
        self.lag = Lag()
        self.file_key = found.file_key
        self.format = LineFormat(found.options, settings.make_decoder())
        self._state = State(0)
        self._settings = settings
        self._incarnations = settings.incarnations
        self._is_archive = bool(only) and found.is_archive
        self.is_finished = False
        self._loop = SupervisedTask("file_reader", "a followed file is not read", late_seconds=None)
        self._origin = CopyDetection(settings.incarnations, settings.calls, found.file_key[0], only)
        self._old_bytes = found.status.st_size if from_end else 0
        self._file: GrowingFile | None = None
        self._in_use = asyncio.Lock()
        self._held_back = ""
        self._size = found.status.st_size
        self._has_shrunk = False
        self._links = 0
        self._changed = (0, 0)
        self._changed_at = clock.monotonic()
        self._waiting_since: float | None = None
        self._wake = asyncio.Event()
        self._wake.set()

    def wake(self) -> None:
        """The file may have changed."""
        self._wake.set()

    def note_size(self, size: int) -> None:
        """The file was seen with so many bytes. Of what was truncated the largest is kept, until it is settled."""
        if self._has_shrunk and self.checkpoint.end < self._size:
            return
        self._has_shrunk = size < self._size
        self._size = max(self._size, size)

    @property
    def problem(self) -> str:
        """Why it is not read just now, empty where it is."""
        return (
            self.error
            or "".join(self.problems)
            or (f"held back, it begins as {self._held_back}" if self._held_back else "")
        )

    @property
    def unfinished(self) -> bool:
        """Whether it should be looked at again although it may not change."""
        return bool(self.error) or bool(self._held_back) or self.checkpoint.end < self.seen.st_size

    @property
    def unread_bytes(self) -> int:
        """How many bytes of it were seen and are not on disk elsewhere."""
        return 0 if self._held_back else max(0, max(self._size, self.seen.st_size) - self.checkpoint.end)

    @property
    def is_unopened(self) -> bool:
        """Whether the file had no turn yet: nothing but its path leads to it."""
        return self._file is None and self.identity is None

    def read_archive(self, found: FoundFile) -> None:
        """The file, which is unopened, was compressed: what it had is read from there."""
        self.where, self.file_key, self._is_archive = found.real_path, found.file_key, True

    def links_and_idle_seconds(self) -> tuple[int, float]:
        """How many paths led to the open file when it was read last, and for how long it has not changed."""
        return self._links if self._file else 0, clock.monotonic() - self._changed_at

    def start(self) -> None:
        """Follow until `stop`; of what does not grow, to its end."""
        self._loop.start(self._turn)

    async def stop(self, timeout_seconds: float) -> None:
        """Stop wherever it is, and not wait longer than that for it to end."""
        await self._loop.stop(timeout_seconds)
        self._let_go()

    async def _turn(self) -> float | None:
        """Wait until the file may have changed, then read what there is."""
        if not self._wake.is_set():
            with self._loop.idle():
                await self._wake.wait()
        self._wake.clear()
        try:
            await self._catch_up()
        except Exception:
            # Tried again without being woken.
            self._wake.set()
            raise
        if not self.is_finished:
            return 0.0
        self._let_go()
        return None

    def _let_go(self) -> None:
        """Let go of file and identity. The follower still asks about them, until it lets go of this."""
        if self._file:
            self._settings.calls.later(self._file.close)
        self._file = None
        self._settings.open_files.closed(self)
        if self.identity:
            self._incarnations.release(self.identity)

    @property
    def problems(self) -> list[str]:
        """What nobody foresaw, while reading fails by it."""
        return self._loop.problems

    async def _run(self, call: Callable[[], _Result], late: Callable[[_Result], object] | None = None) -> _Result:
        return await self._settings.calls.run(self.file_key[0], call, late)

    def close_if_idle(self) -> bool:
        """See `Closable`. A file that is not where it was stays open, or nobody would find it again."""
        if self._in_use.locked() or self.rotated or self._file is None or self.identity is None:
            return False
        self._settings.calls.later(self._file.close)
        self._file = None
        return True

    async def _catch_up(self) -> None:
        """Everything there is, for now."""
        self.busy = True
        try:
            while await self._step_or_settle():
                self.error = ""
            self.error = ""
            if self._is_archive:
                await self._finish()
        except (OSError, LogriverError) as error:
            # The follower wakes a reader with an error once a second.
            reason = reason_of(error)
            if reason != self.error:
                log.warning("%s cannot be followed now: %s", self._shown, reason)
            self.error = reason
        finally:
            self.busy = False

    async def _finish(self) -> None:
        """Let go of an archive once all of it is committed: nobody adds to it."""
        committed = self._incarnations.get(self.identity.id) if self.identity else None
        if committed and self._file and self.checkpoint.end == await self._run(self._file.size):
            await self._incarnations.put_state(committed, file_key=self.file_key, gone_ns=clock.now_ns())
            self.is_finished = True

    async def _step_or_settle(self) -> bool:
        try:
            return await self._step()
        except NotTheSame as difference:
            log.info("%s has other content now: %s", self._shown, difference)
            await self._begin_anew()
            return True

    async def _begin_anew(self) -> None:
        """The content of the file is another: what was not read of the old one is settled, then all begins again."""
        committed = self._incarnations.get(self.identity.id) if self.identity else None
        if committed and committed.file_key == self.file_key:
            # A size from which it shrank was the old content's; one that it has now may be the new one's.
            if self._file is not None:
                self.note_size((await self._run(self._file.stat)).st_size)
            await self._settings.truncated(committed, self._size if self._has_shrunk else committed.end)
        elif self.identity and not committed:
            self._incarnations.release(self.identity)
        # What is committed and elsewhere was taken over by a copy before this could be settled.
        self.identity, self._old_bytes, self._size, self._has_shrunk = None, 0, 0, False
        self.format.forget()
        self._state = State(0)
        self._move_to(Checkpoint())

    async def _step(self) -> bool:
        """A few chunks from the file to the sink; False when there was none."""
        async with self._settings.slots, self._in_use:
            file = self._file or await self._open()
            if self.identity is None:
                head, take_rest = await self._run(lambda: (file.head(HEAD_BYTES), self._look(file)))
                self.identity = await self._attach(file, head, take_rest)
            if self.identity is None:
                return False
            changed_at = self._changed_at
            found = await self._run(lambda: self._next(file, self._look(file)))
            if changed_at != self._changed_at:
                self._settings.open_files.used(self)
            if found is None:
                return False
            for is_last in (False,) * (_CHUNKS_IN_A_ROW - 1) + (True,):
                found = await self._hand_over_and_read(file, self.identity, found, is_last)
                if found is None:
                    break
            # What comes from now on wakes it again: a file that was read to its end is not asked for more at once.
            return self._is_archive or self.checkpoint.end < self._size

    async def _open(self) -> GrowingFile:
        kind = Archive if self._is_archive else GrowingFile
        opening = partial(_opened, kind, self.where, self._settings.max_record_bytes, self.file_key)
        file = await self._run(opening, late=GrowingFile.close)
        file.move_to(self.checkpoint)
        self._file = file
        self._settings.open_files.used(self)
        return file

    def _look(self, file: GrowingFile) -> bool:
        """Remember the size; gives whether nothing has changed for so long that the last line is taken. Blocking."""
        status = file.stat()
        now, change = clock.monotonic(), (status.st_size, status.st_mtime_ns)
        if change != self._changed:
            self._changed, self._changed_at = change, now
        self._links = status.st_nlink
        self.note_size(status.st_size)
        return now - self._changed_at >= (ENDED_QUIET_SECONDS if self.rotated else QUIET_SECONDS)

    async def _attach(self, file: GrowingFile, head: bytes, take_rest: bool) -> FileIdentity | None:
        """Find out which incarnation this is and go where the ledger ends; None while that cannot be known."""
        committed = self._incarnations.newest_at(self.file_key)
        if committed and not await self._run(partial(file.still_is, committed)):
            await self._settings.truncated(committed, 0)
        elif committed:
            return await self._resume(file, head, committed)
        if not head or not (b"\n" in head or len(head) == HEAD_BYTES or take_rest):
            return None
        origin = await self._origin.ask(file, head)
        self._held_back = origin.held_back
        if origin.held_back:
            return None
        if origin.takes_over:
            return await self._resume(file, head, origin.takes_over)
        identity = self._incarnations.born(self.file_key, head)
        with self._incarnations.claiming(identity, self.where, self.file_key, head):
            if self._old_bytes or origin.copied_bytes:
                old = await self._run(partial(file.old_lines, self._old_bytes or origin.copied_bytes))
                reason = (
                    "a copy of what is committed elsewhere" if origin.copied_bytes else "there before it was followed"
                )
                left_out = Gap(0, old.after.end, True, reason, clock.now_ns(), lost=False)
                await self._hand_over(
                    file, identity, (old, Decoded(), self._state), left_out if old.after.end else None
                )
        return identity

    async def _resume(self, file: GrowingFile, head: bytes, committed: Committed) -> FileIdentity:
        """Go on with an incarnation that is known, here or in a file of which this is a copy."""
        identity, is_moved = committed.identity, committed.file_key != self.file_key
        with self._incarnations.claiming(identity, self.where, self.file_key, head):
            if committed.gone_ns or is_moved:
                await self._incarnations.put_state(committed, file_key=self.file_key if is_moved else None)
        self.path = committed.path
        self._move_to(Checkpoint(committed.end, committed.crc, committed.tail))
        return identity

    def _next(self, file: GrowingFile, take_rest: bool) -> Found | None:
        state = self._state._replace(now_ns=clock.now_ns(), offset=self.checkpoint.end)
        chunk = file.next_chunk(lambda lines: self.format.whole(file, lines, state))
        if chunk is None:
            chunk = self._what_waited(file, take_rest)
        if chunk is None:
            return None
        if chunk.too_long:
            return chunk, Decoded(refused=[chunk.too_long]), state
        return chunk, *self.format.decode(file, chunk.lines, state._replace(offset=chunk.start))

    def _what_waited(self, file: GrowingFile, take_rest: bool) -> Chunk | None:
        """Lines that may go on, or the last without an end, when they have had time to."""
        quiet_size, _ = self._changed
        if not take_rest:
            return file.next_chunk() if self._waits_long() else None
        chunk = file.next_chunk() or file.rest()
        # What came after the file was looked at ends the quiet. To what is compressed nothing comes.
        return chunk if chunk and (self._is_archive or chunk.after.end <= quiet_size) else None

    async def _hand_over_and_read(
        self, file: GrowingFile, identity: FileIdentity, found: Found, is_last: bool
    ) -> Found | None:
        """Put what was found into the sink, and unless it `is_last` read what comes next while the sink works on it.

        None where nothing was read, or where what was found is not committed now.
        """
        after = found[0].after
        if is_last or found[0].too_long or after.end >= self._size:
            await self._hand_over(file, identity, found)
            return None
        reading = asyncio.create_task(self._run(lambda: self._after(file, after, found[2])))
        try:
            await self._hand_over(file, identity, found)
        finally:
            (following,) = await asyncio.gather(reading, return_exceptions=True)
        if isinstance(following, (OSError, NotTheSame)):
            # The next step reads there again, and meets what is wrong then.
            return None
        if isinstance(following, BaseException):
            raise following
        return following if self.checkpoint == after else None

    def _after(self, file: GrowingFile, checkpoint: Checkpoint, before: State) -> Found | None:
        state = before._replace(now_ns=clock.now_ns(), offset=checkpoint.end)
        chunk = file.chunk_after(checkpoint, lambda lines: self.format.whole(file, lines, state))
        if chunk is None:
            return None
        return chunk, *self.format.decode(file, chunk.lines, state._replace(offset=chunk.start))

    def _waits_long(self) -> bool:
        """Whether lines that may go on have been there for long, although the file grows."""
        size, _ = self._changed
        if size <= self.checkpoint.end:
            self._waiting_since = None
        elif self._waiting_since is None:
            self._waiting_since = clock.monotonic()
        return self._waiting_since is not None and clock.monotonic() - self._waiting_since >= QUIET_SECONDS

    async def _hand_over(self, file: GrowingFile, identity: FileIdentity, found: Found, gap: Gap | None = None) -> None:
        """Put the chunk's records into the sink; on return the file's checkpoint is where the ledger ends."""
        chunk, decoded, state = found
        after = chunk.after
        known = self._incarnations.get(identity.id)
        file_key = known.moved_to if known else None
        covers = FileRange(identity, self.path, chunk.start, after.end, after.crc, after.tail, file_key, gap=gap)
        try:
            await self._put(Batch(decoded, source=self.path, range=covers, dead=decoded.refused), covers)
        except RangeConflict as conflict:
            if self._is_committed_as_another(identity):
                # By another follower of our name, an agent that was killed with its batch on the way perhaps.
                self._incarnations.release(identity)
                self.identity = None
                self._move_to(Checkpoint())
                return
            if conflict.held_end == chunk.start:
                # An earlier try of ours, cancelled here, is still being written there.
                await asyncio.sleep(_BEING_WRITTEN_SECONDS)
                return
            log.warning("%s: byte %d does not continue what is committed: %s", self._shown, chunk.start, conflict.hint)
            await self._run(partial(file.go_to, conflict.held_end))
            self.checkpoint = file.checkpoint
            return
        self._move_to(after)
        self._state = state
        self.last_event_ns = clock.now_ns()
        metrics.followed_bytes.inc(after.end - chunk.start)

    def _is_committed_as_another(self, identity: FileIdentity) -> bool:
        committed = self._incarnations.newest_at(self.file_key)
        return self._incarnations.get(identity.id) is None and committed is not None

    def _move_to(self, checkpoint: Checkpoint) -> None:
        self.checkpoint, self._waiting_since = checkpoint, None
        if self._file:
            self._file.move_to(checkpoint)

    async def _put(self, batch: Batch, covers: FileRange) -> None:
        """Put `batch` into the sink, waiting for as long as it is overloaded."""
        wait_seconds = 0
        while True:
            try:
                accepted = await self._incarnations.put(batch, covers)
            except Overloaded as error:
                if not self.error:
                    log.warning("%s has to wait: %s", self._shown, error)
                self.error = error.message
                wait_seconds = min(wait_seconds * 2 or 1, _LONGEST_OWN_WAIT_SECONDS)
                await asyncio.sleep(max(wait_seconds, min(error.retry_after_seconds, _LONGEST_WAIT_SECONDS)))
            else:
                metrics.accepted.labels("follow").inc(accepted)
                metrics.rejected.labels("follow").inc(len(batch.dead))
                metrics.unmatched_lines.inc(batch.decoded.unmatched)
                return

    @property
    def _shown(self) -> str:
        return text_of(str(self.where))


def reason_of(error: OSError | LogriverError) -> str:
    """Why a file is not read, without the path that an error of the system repeats in a spelling of its own."""
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


def _opened(kind: type[GrowingFile], path: Path, max_record_bytes: int, file_key: FileKey) -> GrowingFile:
    """Blocking."""
    file = kind(path, max_record_bytes)
    status = file.stat()
    if (status.st_dev, status.st_ino) != file_key:
        file.close()
        raise FileNotFoundError("another file took its path before it was opened")
    return file
