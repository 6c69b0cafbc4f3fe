"""Replaying a dead letter: read again, or as corrected by whoever asks, it becomes a record like any other.

The batch carries the dead letter's number, so that a stop at any moment neither loses nor doubles it (see
`queue/dead_letters.py`).
"""

import asyncio
from collections.abc import Callable

from logriver import clock, metrics
from logriver.columns import ROW_COLUMNS, ROW_FORMAT
from logriver.decode.decoder import Decoder, Options, State
from logriver.decode.lines.whole_lines import MAX_REFUSED_BYTES
from logriver.errors import NotFound, Unprocessable
from logriver.queue.base import DeadLetter
from logriver.queue.dead_letters import DeadLetters
from logriver.record import Batch, Decoded, Receipt, Sink
from logriver.threads import Owner

_GIVE_RECORD = "send the corrected record as the body"
# What the queue adds to a row (`columns.py`), here only so that the row is whole.
_ROW_END = b"\t\t0\n"

_accepted = metrics.accepted.labels(protocol="replay")


class Replay:
    """Replays dead letters into a sink. On one event loop; a dead letter is replayed once, however many ask for it."""

    def __init__(
        self,
        dead_letters: DeadLetters,
        sink: Sink,
        format_of: Callable[[str], str | None],
        refusal: Callable[[bytes], str | None],
        decoder: Decoder,
        max_record_bytes: int,
    ) -> None:
        """`format_of` gives the format of a source, None where it is not known (any more).

        `refusal` gives why the store could not read rows, None if it could; it may block. `decoder` is used by any
        thread.
        """
        self._dead_letters = dead_letters
        self._sink = sink
        self._format_of = format_of
        self._refusal = refusal
        self._decoder = decoder
        self._options = Options(max_record_bytes=max_record_bytes)
        self._running: dict[int, asyncio.Task[Receipt]] = {}
        self._event_loop = Owner("replaying dead letters")

    async def run(self, seq: int, corrected: bytes) -> Receipt:
        """Replay a dead letter as it is or, where that is not empty, as `corrected`; on return it is on disk.

        Raises `NotFound`, `Unprocessable` where it fails again and stays, and what `Sink.put` raises.
        """
        self._event_loop.check()
        task = self._running.get(seq)
        if task is None:
            task = self._running[seq] = asyncio.create_task(self._replay(seq, corrected))
            task.add_done_callback(lambda done: self._finished(seq, done))
        # Who asks may go away; the batch is on its way all the same.
        return await asyncio.shield(task)

    def _finished(self, seq: int, task: asyncio.Task[Receipt]) -> None:
        del self._running[seq]
        if not task.cancelled():
            task.exception()

    async def _replay(self, seq: int, corrected: bytes) -> Receipt:
        dead_letter = await asyncio.to_thread(self._dead_letters.get, seq)
        if dead_letter is None:
            raise NotFound(f"there is no dead letter {str(seq)!r}")
        source, decoded = await asyncio.to_thread(self._read, dead_letter, corrected)
        receipt = await self._sink.put(Batch(decoded, source, replays=seq))
        _accepted.inc(receipt.accepted)
        await asyncio.to_thread(self._dead_letters.remove, seq)
        return receipt

    def _read(self, dead_letter: DeadLetter, corrected: bytes) -> tuple[str, Decoded]:
        """The dead letter's source and its one record, which the store can read."""
        source, decoded = self._record(dead_letter, corrected)
        # Asked before it is taken: refused afterwards, it would be a new dead letter under another number.
        reason = self._refusal(decoded.rows.removesuffix(b"\n") + _ROW_END)
        if reason is not None:
            raise Unprocessable(f"the engine refuses it again: {reason[:200]}", hint=_GIVE_RECORD)
        return source, decoded

    def _record(self, dead_letter: DeadLetter, corrected: bytes) -> tuple[str, Decoded]:
        text = corrected.strip()
        if not text and dead_letter.row_format:
            return _stored_row(dead_letter)
        if not text and len(dead_letter.raw) >= MAX_REFUSED_BYTES:
            raise Unprocessable(f"only the first {len(dead_letter.raw)} bytes of it were kept", hint=_GIVE_RECORD)
        decoded = self._decoded(dead_letter.source, text or dead_letter.raw.strip())
        if decoded.refused:
            raise Unprocessable(f"it fails again: {decoded.refused[0].reason}", hint=_GIVE_RECORD)
        if decoded.count != 1:
            raise Unprocessable(f"a dead letter is replayed as one record, this is {decoded.count}", hint=_GIVE_RECORD)
        return dead_letter.source, decoded

    def _decoded(self, source: str, text: bytes) -> Decoded:
        name = self._format_of(source) or ""
        if name == "journal":
            # What is not an entry of it is a line like any other.
            name = ""
        if text.startswith(b"{"):
            # A newline inside of a JSON object can only be a space between its parts.
            name, text = "json", text.replace(b"\n", b" ")
        return self._decoder.decode(text + b"\n", self._options, State(clock.now_ns(), 0, name))[0]


def _stored_row(dead_letter: DeadLetter) -> tuple[str, Decoded]:
    """A row that the engine refused has no source beside it: it is in the row, with the time it was received."""
    columns = dead_letter.raw.split(b"\t")
    if dead_letter.row_format != ROW_FORMAT or len(columns) != len(ROW_COLUMNS):
        raise Unprocessable("it is not a whole row", hint=_GIVE_RECORD)
    source = columns[-2].decode(errors="replace")
    return source, Decoded(b"\t".join(columns[:-2]) + b"\n", 1)
