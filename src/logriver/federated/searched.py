"""The events of a search over the files of several machines, as one stream of JSON lines.

Each machine searches on its own and at its own pace; its records come as they are found. A machine that fails, or
leaves, is told of in an event, and the others go on. One that reads nothing for this caller is left out. At the end
stands whether that was all.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass

import msgspec

from logriver import clock
from logriver.errors import Forbidden, LogriverError
from logriver.files import found_events
from logriver.files.found_events import MAX_EVENT_BYTES, End, Event, FileFailed, FoundRow, Progress
from logriver.files.newest import Newest

# So many pieces of all machines wait for the client, each a quarter of a megabyte or a single event.
_WAITING = 8

_encode = msgspec.json.Encoder().encode
_decode_row = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Told:
    """What a machine said: events, of which the last may be its end, or why there are no more of them."""

    machine: str
    events: list[Event] | LogriverError


async def searched(machines: Mapping[str, AsyncGenerator[bytes, None]], limit: int) -> AsyncGenerator[bytes, None]:
    """The events of all machines by their names, of records those that may be among the newest `limit`.

    Raises the first machine's reason where none could begin, one that is not about the caller before the others.
    """
    waiting: asyncio.Queue[_Told] = asyncio.Queue(_WAITING)
    tasks = [asyncio.create_task(_listen(name, pieces, waiting)) for name, pieces in machines.items()]
    answer = _Answer(len(tasks), Newest(limit))
    try:
        while not answer.is_whole:
            if lines := answer.lines(await waiting.get()):
                yield lines
        yield answer.end()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _listen(machine: str, pieces: AsyncGenerator[bytes, None], waiting: "asyncio.Queue[_Told]") -> None:
    """Put what a machine says; the last is its end, or the error, whatever happens: nobody else would report it."""
    try:
        async with aclosing(_events(machine, pieces)) as said:
            async for events in said:
                await waiting.put(_Told(machine, events))
                if isinstance(events[-1], End):
                    return
        raise LogriverError(f"the answer of {machine!r} has no end")
    except LogriverError as error:
        await waiting.put(_Told(machine, error))
    except Exception:
        log.exception("a search over files failed", extra={"fields": {"machine": machine}})
        await waiting.put(_Told(machine, LogriverError("an internal error, the internal log says which")))


async def _events(machine: str, pieces: AsyncGenerator[bytes, None]) -> AsyncGenerator[list[Event], None]:
    """The events in each piece, up to the end. Raises `LogriverError` for what is none."""
    begun = b""
    async with aclosing(pieces) as given:
        async for piece in given:
            *lines, begun = (begun + piece).split(b"\n")
            if len(begun) > MAX_EVENT_BYTES:
                raise LogriverError(f"{machine!r} sends an event of more than {MAX_EVENT_BYTES} bytes")
            try:
                events = _decoded(lines)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                raise LogriverError(f"{machine!r} sends what is no event: {error}") from None
            if events:
                yield events


def _decoded(lines: list[bytes]) -> list[Event]:
    """The events, up to the end."""
    events = []
    for line in lines:
        events.append(_event(line))
        if isinstance(events[-1], End):
            break
    return events


def _event(line: bytes) -> Event:
    event: Event = found_events.decode(line)
    if isinstance(event, FoundRow):
        _decode_row(event.row)
    return event


class _Answer:
    """Makes lines of what the machines say, until all have ended."""

    def __init__(self, machines: int, newest: Newest) -> None:
        self._machines = self._going_on = machines
        self._newest = newest
        self._failures: list[LogriverError] = []
        self._begun: set[str] = set()
        # Failures wait for another machine's first event: until then they may be the whole answer.
        self._held_back: list[bytes] | None = []
        self._sum = End(0, 0, True)

    @property
    def is_whole(self) -> bool:
        """Whether no machine goes on."""
        return self._going_on == 0

    def lines(self, told: _Told) -> bytes:
        """The lines that follow from what a machine said; there may be none. Raises as `searched` does."""
        if isinstance(told.events, LogriverError):
            return self._of_failure(told.machine, told.events)
        self._begun.add(told.machine)
        before = b"".join(self._held_back or ())
        self._held_back = None
        return before + b"".join(self._of_event(told.machine, event) for event in told.events)

    def end(self) -> bytes:
        """The last line."""
        return _encode({"end": msgspec.structs.asdict(self._sum)}) + b"\n"

    def _of_failure(self, machine: str, failure: LogriverError) -> bytes:
        self._going_on -= 1
        self._failures.append(failure)
        if len(self._failures) == self._machines and self._held_back is not None:
            raise min(self._failures, key=_is_refusal)
        if _is_refusal(failure) and machine not in self._begun:
            return b""
        self._sum.complete = False
        line = _error(machine, failure.answer())
        if self._held_back is None:
            return line
        self._held_back.append(line)
        return b""

    def _of_event(self, machine: str, event: Event) -> bytes:
        match event:
            case FoundRow(row, time_ns):
                return _row(machine, row, time_ns) if self._newest.takes(time_ns) else b""
            case FileFailed():
                return _error(machine, msgspec.structs.asdict(event))
            case Progress():
                return _encode({"progress": {"host": machine, **msgspec.structs.asdict(event)}}) + b"\n"
            case End():
                self._going_on -= 1
                complete = self._sum.complete and event.complete
                self._sum = End(self._sum.bytes + event.bytes, self._sum.files + event.files, complete)
                return b""


def _is_refusal(failure: LogriverError) -> bool:
    """Whether a machine reads nothing for this caller."""
    return isinstance(failure, Forbidden)


def _row(machine: str, row: msgspec.Raw, time_ns: int) -> bytes:
    """A record, with the name of its machine."""
    given = {**_decode_row(row), "_host": machine}
    return _encode({"row": given, "time": clock.to_text(time_ns)}) + b"\n"


def _error(machine: str, failure: Mapping[str, object]) -> bytes:
    return _encode({"error": {"host": machine, **failure}}) + b"\n"
