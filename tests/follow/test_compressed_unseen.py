"""A file that waits to be opened and is compressed meanwhile is read once, and is not taken for lost."""

import asyncio
import gzip
import os
from pathlib import Path

import pytest

from logriver.errors import Overloaded
from logriver.follow import follower
from logriver.record import Batch, Receipt
from tests.follow.test_follow import Ledger, append, following, until

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class TakesNoStates(Ledger):
    """Is full, or for a while has space for lines and not for what became of files."""

    is_full = takes_states = False

    async def put(self, batch: Batch) -> Receipt:
        assert batch.range is not None
        if self.is_full or not (self.takes_states or batch.range.start < batch.range.end):
            raise Overloaded("full", retry_after_seconds=0)
        return await super().put(batch)


def compress(path: Path, inode_of: Path) -> None:
    """Compressed, into the inode of a file that is deleted for it."""
    times = path.stat()
    inode_of.write_bytes(gzip.compress(path.read_bytes()))
    os.utime(inode_of, ns=(times.st_atime_ns, times.st_mtime_ns))
    inode_of.rename(f"{path}.gz")
    path.unlink()


@pytest.mark.parametrize("inode", ["the_oldest's", "a_file_of_others'", "one_that_is_not_followed_any_more"])
async def test_who_waits_for_an_archive_gets_it_before_it_is_found_as_an_unseen_one(
    tmp_path: Path, inode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "_KEPT_AFTER_GONE_SECONDS", 1.0)
    path, sink = tmp_path / "app.log", TakesNoStates()
    sink.takes_states = True
    not_followed = tmp_path / "before.log"
    append(path, b"known\n")
    append(not_followed, b"before\n")
    async with following(sink, path, not_followed):
        await until(lambda: len(sink.messages()) == 2)
    known = path.rename(tmp_path / "app.log.3")
    append(path, b"has the turn\n")
    sink.is_full, sink.takes_states = True, False
    async with following(sink, path, at_once=1) as running:
        await until(lambda: len(running._readers) == 1)
        path.rename(tmp_path / "app.log.2")
        append(path, b"compressed\n")
        await until(lambda: len(running._readers) == 2)
        path.rename(tmp_path / "app.log.1")
        append(path, b"last\n")
        await until(lambda: len(running._readers) == 3)
        # The oldest is deleted, and what is compressed next gets its inode, or that of another file.
        oldest = known.rename(tmp_path / "oldest")
        owners = {"the_oldest's": oldest, "a_file_of_others'": tmp_path / "another"}
        compress(tmp_path / "app.log.1", owners.get(inode, not_followed))
        sink.is_full = False
        # What was rotated before is known now, and what became of the oldest is not yet.
        await until(lambda: {"has the turn", "last"} <= set(sink.messages()), 20)
        await asyncio.sleep(1.5)
        sink.takes_states = True
        await until(lambda: len(sink.messages()) == 5, 20)
        await asyncio.sleep(2.5)
    assert sorted(sink.messages()) == ["before", "compressed", "has the turn", "known", "last"]
    assert [gap for held in sink.ledger.values() for gap in held.gaps] == []
