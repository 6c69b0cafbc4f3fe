"""systemd's journal, read by `journalctl`, which prints each entry as a line of JSON and then waits for more.

The journal is no file with bytes to count: its incarnation counts entries, and keeps the cursor of the last one where
others keep their last bytes. Each batch says which entries it covers, so that compare-and-append stores an entry once,
and its cursor is on disk with it: whatever is killed, `journalctl --after-cursor` goes on behind the last one stored.
"""

import asyncio
import contextlib
from asyncio import StreamReader
from asyncio.subprocess import DEVNULL, PIPE, Process
from dataclasses import replace

from logriver import clock, metrics
from logriver.decode.decoder import Decoder, Options, State
from logriver.decode.labels import Labels
from logriver.decode.wire.journal import cursor_of
from logriver.errors import LogriverError, SettingsError
from logriver.file_position import Committed, FileIdentity, FileRange
from logriver.follow.growing_file import CHUNK_BYTES, head_hash
from logriver.follow.paths import JOURNAL
from logriver.follow.sources import SourceStatus
from logriver.record import Batch, Sink
from logriver.settings import FollowSettings
from logriver.threads import SupervisedTask

_AGAIN_SECONDS = 5.0
# `--all`: long values in full.
_COMMAND = ("journalctl", "--output=json", "--all", "--quiet", "--follow")
_MAX_REASON_BYTES = 300


def journals_of(settings: FollowSettings) -> dict[str, Options]:
    """The journals that the settings say are followed, and how their entries become records. Raises `SettingsError`."""
    options = Options("journal", max_record_bytes=settings.max_record_bytes)
    journals = {text: options for text in settings.follow if text.startswith(JOURNAL)}
    for table in settings.sources:
        if table.path.startswith(JOURNAL):
            others = table.model_fields_set - {"path", "labels"}
            if others:
                raise SettingsError(f"{table.path[:60]!r} has no {min(others)}", hint="a journal has labels")
            Labels(table.labels)
            journals[table.path] = replace(options, labels=tuple(table.labels.items()))
    return journals


class Journal:
    """All of the journal (`journal:`), or one unit's (`journal:UNIT`), from `start` to `stop`."""

    def __init__(self, path: str, options: Options, settings: FollowSettings, decoder: Decoder, sink: Sink) -> None:
        self._path = path
        self._options = options
        self._decoder = decoder
        self._from_end = settings.from_end
        self._sink = sink
        self._incarnation = FileIdentity(settings.follower_name, 0, 0, 0, head_hash(path.encode()))
        self._committed = Committed(self._incarnation, path, 0, 0, b"")
        self._last_event_ns = 0
        self._error = ""
        self._loop = SupervisedTask(
            "journal",
            f"{path} is not followed",
            first_backoff_seconds=_AGAIN_SECONDS,
            last_backoff_seconds=_AGAIN_SECONDS,
            late_seconds=None,
            foreseen=(OSError, ValueError, LogriverError),
        )

    def start(self) -> None:
        """Follow until `stop`; whatever goes wrong is shown and tried again, from what is committed."""
        self._loop.start(self._turn)

    async def stop(self, timeout_seconds: float) -> None:
        """Stop wherever it is, and not wait longer than that for it to end."""
        await self._loop.stop(timeout_seconds)

    @property
    def problems(self) -> list[str]:
        """Why it is not followed just now."""
        return self._loop.problems

    def status(self) -> SourceStatus:
        """How far it is followed, counted in entries."""
        end = self._committed.end
        return SourceStatus(
            self._path, "journal", end, end, self._last_event_ns, self._error, identity=self._incarnation.id
        )

    async def _turn(self) -> None:
        try:
            await self._follow()
        except Exception as error:
            self._error = str(error) or type(error).__name__
            raise

    async def _follow(self) -> None:
        """Put entries into the sink until `journalctl` ends, which is an error."""
        known = await self._sink.known(self._incarnation.follower)
        nothing = Committed(self._incarnation, self._path, 0, 0, b"")
        self._committed = next(
            (committed for committed in known.files if committed.identity.id == self._incarnation.id), nothing
        )
        process = await asyncio.create_subprocess_exec(
            *_COMMAND, *self._where_to_begin(), stdin=DEVNULL, stdout=PIPE, stderr=PIPE, limit=CHUNK_BYTES
        )
        assert process.stderr is not None
        # Read all the time: a pipe that is full would stop it in the middle of an entry.
        last_words = asyncio.create_task(_last_words(process.stderr))
        try:
            await self._read(process)
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            raise
        finally:
            await process.wait()
            said = await last_words
        raise ChildProcessError(f"journalctl ended with {process.returncode}: {said!r}")

    def _where_to_begin(self) -> list[str]:
        # `--follow` alone would begin ten entries before the end.
        unit = self._path.removeprefix(JOURNAL)
        options = [f"--unit={unit}"] if unit else []
        if self._committed.tail:
            return [*options, "--no-tail", f"--after-cursor={self._committed.tail.decode()}"]
        return [*options, "--lines=0" if self._from_end else "--no-tail"]

    async def _read(self, process: Process) -> None:
        assert process.stdout is not None
        rest = b""
        # What comes while a batch is on its way is the next batch.
        while data := await process.stdout.read(CHUNK_BYTES):
            *lines, rest = (rest + data).split(b"\n")
            # One byte more than a record may have is kept, so that it is seen to be too long.
            rest = rest[: self._options.max_record_bytes + 1]
            if lines:
                await self._hand_over([line[: self._options.max_record_bytes + 1] for line in lines])

    async def _hand_over(self, lines: list[bytes]) -> None:
        """Put whole lines into the sink. Raises as `Sink.put` does."""
        start, cursor = self._committed.end, cursor_of(lines[-1])
        decoded, _ = self._decoder.decode(b"\n".join(lines), self._options, State(clock.now_ns(), start))
        covers = FileRange(self._incarnation, self._path, start, start + len(lines), 0, cursor)
        receipt = await self._sink.put(Batch(decoded, source=self._path, range=covers, dead=decoded.refused))
        self._committed, self._last_event_ns, self._error = self._committed.after(covers), clock.now_ns(), ""
        metrics.accepted.labels("follow").inc(receipt.accepted)
        metrics.rejected.labels("follow").inc(len(decoded.refused))


async def _last_words(stderr: StreamReader) -> str:
    """What is said last until the end, in little memory however much it is."""
    said = b""
    while data := await stderr.read(CHUNK_BYTES):
        said = (said + data)[-_MAX_REASON_BYTES:]
    return said.decode("utf-8", "replace").strip()
