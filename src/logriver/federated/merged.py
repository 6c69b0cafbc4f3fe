"""The lines of several machines in one stream: newest first, each after the name of its machine.

A machine that has no such file, or may not give it, is left out. One that fails otherwise is named in a line at the
place where its lines end; the others' lines go on, and at the end the stream breaks, so that nobody takes it for all.
"""

import asyncio
import heapq
import logging
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, aclosing

from logriver.errors import LogriverError, Unavailable
from logriver.files.timed import Block, decoded

# What a machine says that cannot give the file. Where all do, the first of these says most to the caller.
_LEFT_OUT = (400, 404, 403)
# So many blocks are sent at once, or fewer where the next one has to be waited for.
_AT_ONCE = 200

log = logging.getLogger(__name__)


async def merged(machines: Mapping[str, AsyncGenerator[bytes, None]], n: int | None) -> AsyncGenerator[bytes, None]:
    """At most `n` lines of the machines by their names; of each come blocks as `files/timed.py` writes them.

    Raises what kept all of them from answering; at the end `Unavailable` if one failed.
    """
    async with AsyncExitStack() as streams:
        every = [
            _Machine(name, await streams.enter_async_context(aclosing(decoded(blocks))))
            for name, blocks in machines.items()
        ]
        await asyncio.gather(*(machine.fetch() for machine in every))
        asked = _answering(every)
        async with aclosing(_in_order(asked, n)) as pieces:
            async for piece in pieces:
                yield piece
    if failed := [machine.name for machine in asked if machine.failure]:
        raise Unavailable(f"lines of {', '.join(failed)} are missing")


async def _in_order(machines: "list[_Machine]", n: int | None) -> AsyncGenerator[bytes, None]:
    given = [machine.last_words() for machine in machines if machine.failure]
    heap = [machine for machine in machines if machine.ready]
    heapq.heapify(heap)
    while heap and n != 0:
        newest = heap[0]
        text, lines = newest.take(n)
        given.append(text)
        n = None if n is None else n - lines
        if not newest.ready or len(given) >= _AT_ONCE:
            yield b"".join(given)
            given.clear()
        if not newest.ready and n != 0:
            await newest.fetch()
        if newest.ready:
            heapq.heapreplace(heap, newest)
        else:
            heapq.heappop(heap)
            given += [newest.last_words()] if newest.failure else []
    if given:
        yield b"".join(given)


def _answering(machines: "list[_Machine]") -> "list[_Machine]":
    """Those that have the file. Raises the reason where none has it, and where none could say."""
    asked = [machine for machine in machines if not machine.failure or machine.failure.status not in _LEFT_OUT]
    if any(machine.failure is None for machine in asked):
        return asked
    reasons = [machine.failure for machine in asked or machines if machine.failure]
    raise reasons[0] if asked else min(reasons, key=lambda reason: _LEFT_OUT.index(reason.status))


class _Machine:
    """The blocks of one machine, of which `ready` have come; `failure` is why no more come, None at a proper end."""

    def __init__(self, name: str, blocks: AsyncGenerator[list[Block], None]) -> None:
        self.name = name
        self.ready: deque[Block] = deque()
        self.failure: LogriverError | None = None
        self._mark = f"{name}: ".encode()
        self._blocks = blocks
        self._is_in_line = False

    def __lt__(self, other: "_Machine") -> bool:
        """Whether its next block comes first: the rest of a line that was begun, else the newest."""
        if self._is_in_line or other._is_in_line:
            return self._is_in_line
        return (-self.ready[0].time_ns, self.name) < (-other.ready[0].time_ns, other.name)

    async def fetch(self) -> None:
        """Wait for further blocks. Raises nothing: the others are waited for at the same time."""
        try:
            self.ready.extend(await anext(self._blocks, []))
        except LogriverError as error:
            self.failure = error
        except Exception:
            log.exception("lines of a machine failed", extra={"fields": {"machine": self.name}})
            self.failure = LogriverError("an internal error, the internal log says which")

    def take(self, most: int | None) -> tuple[bytes, int]:
        """The next block with the machine's name before each line, cut after `most` lines, and how many there are."""
        text = self.ready.popleft().text
        if text.find(b"\n") == len(text) - 1 and not self._is_in_line:
            return self._mark + text, 1
        rows = text.split(b"\n")
        beginning = b"" if self._is_in_line else self._mark
        rest = rows.pop()
        if most is not None and len(rows) > most:
            rows, rest = rows[:most], b""
        self._is_in_line = bool(rest)
        lines = len(rows)
        if rest:
            rows.append(rest)
        text = beginning + (b"\n" + self._mark).join(rows)
        return (text if rest else text + b"\n"), lines

    def last_words(self) -> bytes:
        """The line that says that more was to come."""
        assert self.failure is not None
        end = b"\n" if self._is_in_line else b""
        return end + self._mark + f"[logriver: {self.failure.message}; older lines are missing]\n".encode()
