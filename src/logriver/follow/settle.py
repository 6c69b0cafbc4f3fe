"""What became of bytes that were not read when their file got other content or went away: a copy has them, or nobody.

Tools that copy and truncate leave the rest in the copy, tools that rename in a file of another name, often one that is
not followed itself. Both are looked for beside the file. What is nowhere is recorded as a gap.
"""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from logriver import clock, metrics
from logriver.follow.generations import Generations
from logriver.follow.growing_file import GrowingFile
from logriver.follow.paths import FoundFile, siblings
from logriver.record import FileRange, Gap, Held

log = logging.getLogger(__name__)


class Settling:
    """`followed` gives the files that are followed (blocking), `start` reads a file, for one generation alone."""

    def __init__(
        self,
        generations: Generations,
        followed: Callable[[], list[FoundFile]],
        start: Callable[[FoundFile, str], object],
    ) -> None:
        self._generations = generations
        self._followed = followed
        self._start = start

    async def truncated(self, held: Held, seen_bytes: int = 0) -> None:
        """The file in its place has other content; it was seen with `seen_bytes`. Raises as `Sink.put` does."""
        self._generations.displace(held)
        if await self._hand_to_copy(held) or self._generations.claimed(held):
            return
        lost_bytes = seen_bytes - held.end
        reason = "truncated before it was read" if lost_bytes > 0 else "truncated while it was not followed"
        # A size that was seen last is a lower bound: what came between that look and the truncation is not known.
        gap = Gap(held.end, max(0, lost_bytes), False, reason, clock.now_ns())
        quiet = held.gone_ns or (seen_bytes and lost_bytes <= 0)
        if not quiet:
            metrics.followed_gaps.inc()
            metrics.followed_lost_bytes.inc(gap.bytes)
            log.error("%s: at least %d bytes after byte %d are lost: %s", held.path, gap.bytes, held.end, reason)
        await self._put(held, over=True, gone_ns=clock.now_ns(), gap=None if quiet else gap)

    async def missing(self, held: Held, beside: dict[tuple[int, int], FoundFile]) -> None:
        """No path that is followed leads to its file. `beside` are the files in its directory by place."""
        renamed = beside.get(held.place)
        if renamed is not None:
            if renamed.status.st_size > held.end:
                self._start(renamed, held.generation.id)
        elif not await self._hand_to_copy(held):
            await self.gone(held)

    async def gone(self, held: Held) -> None:
        """Its file is not there any more. Raises as `Sink.put` does."""
        await self._put(held, gone_ns=clock.now_ns())

    async def _hand_to_copy(self, held: Held) -> bool:
        copy = await asyncio.to_thread(self._copy_of, held) if held.end else None
        if copy is not None:
            self._start(copy, held.generation.id)
        return copy is not None

    def _copy_of(self, held: Held) -> FoundFile | None:
        for file in [*self._followed(), *siblings(Path(held.path))]:
            known = self._generations.newest_at(file.place)
            if known is None and file.place != held.place and _is_copy(file, held):
                return file
        return None

    async def _put(self, held: Held, *, over: bool = False, gone_ns: int = 0, gap: Gap | None = None) -> None:
        held = self._generations.get(held.generation.id) or held
        await self._generations.put_state(
            FileRange(
                held.generation, held.path, held.end, held.end, held.crc, held.tail, held.moved_to, over, gone_ns, gap
            )
        )


def _is_copy(file: FoundFile, held: Held) -> bool:
    if file.status.st_size < held.end:
        return False
    try:
        opened = GrowingFile(file.path, 1)
    except OSError:
        return False
    try:
        return opened.same_up_to(held)
    except OSError:
        return False
    finally:
        opened.close()
