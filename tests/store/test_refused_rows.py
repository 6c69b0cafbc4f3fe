"""What the engine cannot read is explained by the value that is wrong, never by the engine's words or a path."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from logriver.columns import ROW_COLUMNS, ROW_FORMAT
from logriver.errors import DataRefused
from logriver.record import Batch, Decoded
from logriver.store.base import Block
from logriver.store.embedded import Embedded
from tests.write.test_writer import Flaky, writing

ROW = b"1700000000000000000\tinfo\tits message\t\t\t\t\t{}\t\t0\tapp.log\t1700000000000000000"
INTERNAL = re.compile(r"/|fd|DB::|Exception|TabSeparated|Int64|\bRow\b|at row|version")
NAMES = [column.name for column in ROW_COLUMNS]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Flaky]:
    (tmp_path / "store").mkdir()
    opened = Flaky(tmp_path / "store")
    yield opened
    opened.close()


def row_with(name: str, value: bytes) -> bytes:
    values = ROW.split(b"\t")
    values[NAMES.index(name)] = value
    return b"\t".join(values)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (row_with("timestamp", b"no time"), "cannot parse timestamp 'no time'"),
        (row_with("_offset", b"-1"), "cannot parse _offset '-1'"),
        (row_with("_offset", b"\xff" * 100), f"cannot parse _offset '{chr(0xFFFD) * 60}'"),
        (row_with("_received", b"1.5"), "cannot parse _received '1.5'"),
        (b"1\tinfo", "cannot parse a row of 2 columns, it should have 12"),
        (ROW + b"\tmore", "cannot parse a row of 13 columns, it should have 12"),
    ],
)
def test_the_value_that_cannot_be_read_is_named(store: Embedded, row: bytes, reason: str) -> None:
    assert len(NAMES) == 12
    with pytest.raises(DataRefused) as error:
        store.insert(Block(b"".join(one + b"\n" for one in (ROW, row, ROW)), 1, 3, 1))
    assert (error.value.row, error.value.message) == (1, reason)
    assert not INTERNAL.search(reason)
    assert error.value.answer()["message"] == reason
    assert error.value.detail, "the log has what the engine said"
    assert store.refusal(row + b"\n") == reason
    assert store.refusal(ROW + b"\n") is None


def test_a_query_that_the_data_do_not_suit_shows_nothing_of_the_engine(store: Embedded) -> None:
    with pytest.raises(DataRefused) as error:
        store.query("SELECT toInt64('x')")
    assert error.value.message == "the store cannot read a value of the data"
    assert "parse" in error.value.detail


def test_a_dead_letter_says_which_value(tmp_path: Path, store: Flaky) -> None:
    decoded = row_with("timestamp", b"no time").rsplit(b"\t", 2)[0] + b"\n"

    async def run() -> None:
        async with writing(tmp_path, store) as (wal, state, _):
            await wal.put(Batch(Decoded(decoded, 1), "/var/log/app.log"))
            assert await wal.wait_searchable(1, 20)
            (letter,) = state.dead_letters_before(None, 10, 10**6)
            assert letter.reason == "the engine refused it: cannot parse timestamp 'no time'"
            assert letter.row_format == ROW_FORMAT

    asyncio.run(run())
