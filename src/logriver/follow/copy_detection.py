"""Where the content of an unknown file comes from: it may be a copy of a known one, of which the first part is held.

A file that equals a known one up to what is held of that may be a copy of it, made by a tool that will truncate the
other next, or a file of its own that began with the same lines. As long as the known one lives unchanged it is held
back, because nobody can tell yet. So it is where nothing is held yet of the other, whose first lines are on their way.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from logriver.file_position import Committed
from logriver.follow.file_calls import FileCalls
from logriver.follow.growing_file import HEAD_BYTES, GrowingFile
from logriver.follow.incarnations import Claim, Incarnations
from logriver.path_text import text_of


@dataclass(frozen=True, slots=True)
class Origin:
    """A file `takes_over` a generation, is `held_back` (by the path of another), or neither: it is of its own.

    Of one of its own, the first `copied_bytes` are known to be a copy of what is held.
    """

    takes_over: Committed | None = None
    held_back: str = ""
    copied_bytes: int = 0


class CopyDetection:
    """Asked about one file, again and again while it is held back."""

    def __init__(self, generations: Incarnations, calls: FileCalls, device: int, only: str) -> None:
        """`device` is the file's, `only` the one generation that it is read for."""
        self._generations = generations
        self._run = calls.run
        self._device = device
        self._only = only
        self._beginning_of: tuple[str, int] = ("", 0)

    async def ask(self, file: GrowingFile, head: bytes) -> Origin:
        """What it is now. Raises `OSError`."""
        alike = self._generations.alike(head)
        compared = {held.generation.id: self._generations.claimed(held) for held in alike}
        for held in alike:
            if self._only in ("", held.generation.id):
                origin = await self._compare(file, held)
                if origin:
                    return origin
        if self._only:
            return Origin(held_back="the file that it is a copy of")
        # Others may have been claimed meanwhile: when it is said to be of its own, it was compared with all.
        while claims := self._generations.claims_alike(head, compared):
            compared |= claims
            for key, claim in claims.items():
                if not await self._differs(file, key, claim):
                    return Origin(held_back=text_of(str(claim.path)))
        return Origin()

    async def _differs(self, file: GrowingFile, key: str, claim: Claim) -> bool:
        """Whether the file is no copy of one of which nothing is held yet; not while that cannot be told."""
        if await self._run(claim.place[0], partial(file.is_at, claim.path)):
            # The other was renamed to where nobody follows it: this is the new one.
            return True
        same = await self._run(claim.place[0], partial(file.is_beginning_of, claim.path))
        unchanged = await self._run(claim.place[0], partial(_begins, claim.path, claim.head))
        held = self._generations.get(key)
        return unchanged and not same and not (held and held.end)

    async def _compare(self, file: GrowingFile, held: Committed) -> Origin | None:
        """None: it is no copy of that."""
        size, key = await self._run(self._device, file.size), held.generation.id
        if size >= held.end:
            same = await self._run(self._device, partial(file.same_up_to, held))
            if self._generations.get(key) is not held:
                return Origin(held_back=held.path)
            if not same:
                return None
            return Origin(takes_over=held) if self._generations.free(held) else Origin(held_back=held.path)
        return await self._compare_shorter(file, held, size)

    async def _compare_shorter(self, file: GrowingFile, held: Committed, size: int) -> Origin | None:
        """A copy that is being made is shorter than what is held, and so is one that was overtaken."""
        key = held.generation.id
        claim = self._generations.claimed(held)
        if claim is None and not self._generations.free(held):
            return Origin(held_back=held.path)
        if claim is None:
            # A whole head that was compared is more than equal first lines.
            copied = self._beginning_of == (key, size) and size > HEAD_BYTES and self._generations.displaced(held)
            return Origin(copied_bytes=size) if copied else None
        if await self._run(claim.place[0], partial(file.is_at, claim.path)):
            # The other was renamed to where nobody follows it: this is the new one.
            return None
        if await self._run(claim.place[0], partial(file.is_beginning_of, claim.path)):
            self._beginning_of = (key, size)
            return Origin(held_back=held.path)
        # The other may have been truncated meanwhile, which its reader will notice.
        unchanged = self._generations.get(key) is held and await self._run(
            claim.place[0], partial(_has, claim.path, held)
        )
        return None if unchanged and self._generations.claimed(held) is claim else Origin(held_back=held.path)


def _begins(path: Path, head: bytes) -> bool:
    """Whether the file there begins so."""
    with path.open("rb") as file:
        return file.read(len(head)) == head


def _has(path: Path, held: Committed) -> bool:
    """Whether the file there still ends, up to what is held, as it did."""
    with path.open("rb") as file:
        file.seek(held.end - len(held.tail))
        return file.read(len(held.tail)) == held.tail
