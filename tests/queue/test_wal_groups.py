"""What the queue puts together: requests that arrive at one time, and runs while the store is busy."""

import asyncio
from pathlib import Path

import pytest

from logriver import clock
from logriver.queue.segment_header import FILE_HEADER_BYTES
from logriver.queue.wal_segment import records
from logriver.record import Batch, Decoded, Receipt
from tests.queue.test_wal import LARGE, batch, copied, opened, poll, rows_of


async def put_apart(directory: Path, crashed: Path) -> Receipt:
    async with opened(directory) as wal:
        receipt = await wal.put(Batch(Decoded(b"a\nb\nc\n", 3), "test", apart=True))
        copied(directory, crashed)
        assert rows_of(poll(wal)) == {1: "a", 2: "b", 3: "c"}
        return receipt


async def recovered(directory: Path) -> dict[int, str]:
    async with opened(directory) as wal:
        return rows_of(poll(wal))


def test_requests_put_together_are_records_of_their_own(tmp_path: Path) -> None:
    receipt = asyncio.run(put_apart(tmp_path / "data", tmp_path / "crashed"))
    assert receipt == Receipt(3, 0, 3)
    (segment,) = (tmp_path / "crashed" / "log").iterdir()
    found = [(header.first_seq, body) for header, body, _ in records(segment.read_bytes()[FILE_HEADER_BYTES:])]
    assert found == [(1, b"a\n"), (2, b"b\n"), (3, b"c\n")]
    assert asyncio.run(recovered(tmp_path / "crashed")) == {1: "a", 2: "b", 3: "c"}


@pytest.mark.parametrize(("records", "least_seconds", "most_seconds"), [(2, 0.5, 1.5), (3, 2.0, 3.5), (10, 0.0, 0.4)])
def test_what_would_not_fill_much_of_a_block_is_handed_over_early(
    tmp_path: Path, records: int, least_seconds: float, most_seconds: float
) -> None:
    async def waited_seconds() -> float:
        async with opened(tmp_path) as wal:
            # The records wait from within the call on.
            began = clock.monotonic()
            await wal.put(batch(*"abcdefghij"[:records]))
            assert await asyncio.to_thread(wal.poll, 10, LARGE, 2.0)
            return clock.monotonic() - began

    assert least_seconds - 0.1 < asyncio.run(waited_seconds()) < most_seconds
