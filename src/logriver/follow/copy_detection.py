"""Where the content of an unknown file comes from: it may be a copy of a known one, of which the first part is
committed.

A file that equals a known one up to what is committed of that may be a copy of it, made by a tool that will truncate
the other next, or a file of its own that began with the same lines. As long as the known one lives unchanged it is
held back, because nobody can tell yet. So it is where nothing is committed yet of the other, whose first lines are
on their way.
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
    """A file `takes_over` an incarnation, is `held_back` (by the path of another), or neither: it is of its own.

    Of one of its own, the first `copied_bytes` are known to be a copy of what is committed.
    """

    takes_over: Committed | None = None
    held_back: str = ""
    copied_bytes: int = 0


class CopyDetection:
    """Asked about one file, again and again while it is held back."""

    def __init__(self, incarnations: Incarnations, calls: FileCalls, device: int, only: str) -> None:
        """`device` is the file's, `only` the one incarnation that it is read for."""
        self._incarnations = incarnations
        self._run = calls.run
        self._device = device
        self._only = only
        self._beginning_of: tuple[str, int] = ("", 0)

    async def ask(self, file: GrowingFile, head: bytes) -> Origin:
        """What it is now. Raises `OSError`."""
        alike = self._incarnations.alike(head)
        compared = {committed.identity.id: self._incarnations.claimed(committed) for committed in alike}
        for committed in alike:
            if self._only in ("", committed.identity.id):
                origin = await self._compare(file, committed)
                if origin:
                    return origin
        if self._only:
            return Origin(held_back="the file that it is a copy of")
        # Others may have been claimed meanwhile: when it is said to be of its own, it was compared with all.
        while claims := self._incarnations.claims_alike(head, compared):
            compared |= claims
            for key, claim in claims.items():
                if not await self._differs(file, key, claim):
                    return Origin(held_back=text_of(str(claim.path)))
        return Origin()

    async def _differs(self, file: GrowingFile, key: str, claim: Claim) -> bool:
        """Whether the file is no copy of one of which nothing is committed yet; not while that cannot be told."""
        if await self._run(claim.file_key[0], partial(file.is_at, claim.path)):
            # The other was renamed to where nobody follows it: this is the new one.
            return True
        same = await self._run(claim.file_key[0], partial(file.is_beginning_of, claim.path))
        unchanged = await self._run(claim.file_key[0], partial(_begins, claim.path, claim.head))
        committed = self._incarnations.get(key)
        return unchanged and not same and not (committed and committed.end)

    async def _compare(self, file: GrowingFile, committed: Committed) -> Origin | None:
        """None: it is no copy of that."""
        size, key = await self._run(self._device, file.size), committed.identity.id
        if size >= committed.end:
            same = await self._run(self._device, partial(file.same_up_to, committed))
            if self._incarnations.get(key) is not committed:
                return Origin(held_back=committed.path)
            if not same:
                return None
            return (
                Origin(takes_over=committed) if self._incarnations.free(committed) else Origin(held_back=committed.path)
            )
        return await self._compare_shorter(file, committed, size)

    async def _compare_shorter(self, file: GrowingFile, committed: Committed, size: int) -> Origin | None:
        """A copy that is being made is shorter than what is committed, and so is one that was overtaken."""
        key = committed.identity.id
        claim = self._incarnations.claimed(committed)
        if claim is None and not self._incarnations.free(committed):
            return Origin(held_back=committed.path)
        if claim is None:
            # A whole head that was compared is more than equal first lines.
            copied = self._beginning_of == (key, size) and size > HEAD_BYTES and self._incarnations.displaced(committed)
            return Origin(copied_bytes=size) if copied else None
        if await self._run(claim.file_key[0], partial(file.is_at, claim.path)):
            # The other was renamed to where nobody follows it: this is the new one.
            return None
        if await self._run(claim.file_key[0], partial(file.is_beginning_of, claim.path)):
            self._beginning_of = (key, size)
            return Origin(held_back=committed.path)
        # The other may have been truncated meanwhile, which its reader will notice.
        unchanged = self._incarnations.get(key) is committed and await self._run(
            claim.file_key[0], partial(_has, claim.path, committed)
        )
        return (
            None if unchanged and self._incarnations.claimed(committed) is claim else Origin(held_back=committed.path)
        )


def _begins(path: Path, head: bytes) -> bool:
    """Whether the file there begins so."""
    with path.open("rb") as file:
        return file.read(len(head)) == head


def _has(path: Path, committed: Committed) -> bool:
    """Whether the file there still ends, up to what is committed, as it did."""
    with path.open("rb") as file:
        file.seek(committed.end - len(committed.tail))
        return file.read(len(committed.tail)) == committed.tail
