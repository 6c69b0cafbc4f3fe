"""Each file of a part is damaged in each way: no answer is wrong, and none is without records that does not say so."""

import itertools
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from logriver.columns import TABLE
from logriver.decode import row_builder as rows
from logriver.errors import StoreError
from logriver.store import ddl, part_checks
from logriver.store.base import Block, Limits
from logriver.store.embedded import Embedded
from tests.store.part_files import DAMAGE, flip, parts, set_aside

NODE = "abc123"
RECORDS = 1_500
BLOCKS = 3
FILES = [
    "data.bin",
    "data.cmrk4",
    "primary.cidx",
    "checksums.txt",
    "columns.txt",
    "columns_substreams.txt",
    "count.txt",
    "serialization.json",
    "partition.dat",
    "minmax__slice.idx",
    "metadata_version.txt",
    "default_compression_codec.txt",
    "skp_idx.packed",
    "skp_idx_ix_message.idx",
    "skp_idx_ix_message.dct.idx",
    "skp_idx_ix_message.pst.idx",
    "skp_idx_ix_message.cmrk4",
    "skp_idx_ix_message.dct.cmrk4",
    "skp_idx_ix_message.pst.cmrk4",
]
IN_PROJECTION = ["data.bin", "count.txt", "checksums.txt", "primary.cidx", "data.cmrk4", "columns.txt"]
FILES += [f"minutes.proj/{name}" for name in IN_PROJECTION]
# One for each way that the engine fails, or does not, over it; the others are like one of these.
USUAL = {
    ("data.bin", "flip"),
    ("data.bin", "cut"),
    ("primary.cidx", "flip"),
    ("count.txt", "flip"),
    ("checksums.txt", "remove"),
    ("skp_idx.packed", "flip"),
    ("skp_idx_ix_message.idx", "flip"),
    ("minutes.proj/data.bin", "flip"),
    ("minutes.proj/count.txt", "flip"),
}
CASES = [
    pytest.param(name, how, marks=() if (name, how) in USUAL else pytest.mark.soak)
    for name, how in itertools.product(FILES, DAMAGE)
]
QUESTIONS = {
    "all": f"SELECT count(), uniqExact(message), sum(cityHash64(*)) > 0 FROM {TABLE}",
    "word": f"SELECT count() FROM {TABLE} WHERE hasAllTokens(lowerUTF8(message), ['word5'])",
    "id": f"SELECT count() FROM {TABLE} WHERE trace_id = 'trace7'",
    "numbers": f"SELECT count() FROM {TABLE} WHERE _seq BETWEEN 100 AND 199",
    "minutes": f"SELECT {ddl.MINUTE} AS minute, level, count() FROM {TABLE} GROUP BY minute, level ORDER BY minute",
    "newest": f"SELECT _seq FROM {TABLE} ORDER BY timestamp DESC LIMIT 1",
}


def open_store(directory: Path) -> Embedded:
    return Embedded(directory, NODE, 600_000_000, 16_000_000)


def block(number: int) -> Block:
    """Its records have one minute of their own."""
    first = (number * 100 + 1) * 60_000_000_000
    lines = [
        rows.row(first + n, "info", f"record {number} {n} word{n % 50}", trace_id=f"trace{n}") + "\tsource\t7"
        for n in range(RECORDS)
    ]
    return Block(rows.encode(lines), 1 + number * RECORDS, RECORDS, 1)


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed store of three parts."""
    directory = tmp_path_factory.mktemp("healthy") / "data"
    directory.mkdir()
    store = open_store(directory)
    store.query_text(f"SYSTEM STOP MERGES {TABLE}")
    for number in range(BLOCKS):
        store.insert(block(number))
    assert store.close()
    assert len(parts(directory / "store")) == BLOCKS
    return directory


@pytest.fixture
def data(healthy: Path, tmp_path: Path) -> Path:
    """A copy of it, for one test."""
    return Path(shutil.copytree(healthy, tmp_path / "data", symlinks=True))


def test_the_list_of_files_is_that_of_a_part(healthy: Path) -> None:
    part = parts(healthy / "store")[0]
    assert {file.name for file in part.iterdir() if file.is_file()} == {name for name in FILES if "/" not in name}
    assert {file.name for file in (part / "minutes.proj").iterdir()} >= set(IN_PROJECTION)


def expected(without_first: bool) -> dict[str, list[list[str]]]:
    """The answers, with or without the records of the first part."""
    blocks = range(1 if without_first else 0, BLOCKS)
    minutes = [[str((number * 100 + 1) * 60_000_000_000), "info", str(RECORDS)] for number in blocks]
    count = len(blocks) * RECORDS
    return {
        "all": [[str(count), str(count), "1"]],
        "word": [[str(len(blocks) * RECORDS // 50)]],
        "id": [[str(len(blocks))]],
        "numbers": [["0" if without_first else "100"]],
        "minutes": minutes,
        "newest": [[str(BLOCKS * RECORDS)]],
    }


def as_text(found: list[list[object]]) -> list[list[str]]:
    return [[str(value) for value in row] for row in found]


def check_answers(store: Embedded) -> bool:
    """Every answer is right, or is without the first part and says so. Whether any was."""
    any_without = False
    for name, sql in QUESTIONS.items():
        answer = store.query(sql, limits=Limits())
        assert as_text(answer.rows) == expected(bool(answer.incomplete))[name], name
        any_without |= bool(answer.incomplete)
    return any_without


@pytest.mark.parametrize(("name", "how"), CASES)
def test_no_answer_is_wrong_or_silent(data: Path, name: str, how: str) -> None:
    part = parts(data / "store")[0]
    DAMAGE[how](part / name)
    store = open_store(data)
    try:
        # What the engine does not notice by itself is found by reading the whole part, as is done in the background.
        store.damage.search_all = True
        store.check_part()
        without = check_answers(store)
        for _ in range(200):
            store.repair_parts()
            if not store.damage.without_indexes and not store.damage.unreadable:
                break
            time.sleep(0.01)
        assert check_answers(store) == without
        assert without == bool(set_aside(data / "store")) == bool(store.incomplete)
        assert bool(store.problems) == without
        for problem in store.problems:
            assert part.name in problem
            assert str(data) not in problem
        # What is computed from the records is made again.
        if name.startswith("minutes.proj/") or (how == "flip" and name.startswith("skp_idx")):
            assert not without
        store.query_text(f"OPTIMIZE TABLE {TABLE} FINAL")
        assert check_answers(store) == without
    finally:
        store.close()
    store = open_store(data)
    try:
        assert check_answers(store) == without
    finally:
        store.close()


@pytest.mark.parametrize("name", ["data.bin", "primary.cidx", "skp_idx_ix_message.idx"])
def test_a_query_finds_it_by_itself(data: Path, name: str) -> None:
    flip(parts(data / "store")[0] / name)
    store = open_store(data)
    try:
        check_answers(store)
        assert store.problems
    finally:
        store.close()


def test_while_it_runs(data: Path) -> None:
    store = open_store(data)
    try:
        assert not check_answers(store)
        DAMAGE["cut"](parts(data / "store")[0] / "data.bin")
        store.query_text("SYSTEM DROP MARK CACHE")
        answer = store.query(QUESTIONS["all"])
        assert answer.incomplete
        assert as_text(answer.rows) == expected(without_first=True)["all"]
        with pytest.raises(StoreError, match="set aside"):
            store.insert(block(3))
        store.repair_parts()
        store.insert(block(3))
        assert int(str(store.query(f"SELECT count() FROM {TABLE}").rows[0][0])) == BLOCKS * RECORDS
    finally:
        store.close()


def test_what_is_set_aside_goes_when_its_time_has_come(data: Path) -> None:
    flip(parts(data / "store")[0] / "data.bin")
    store = open_store(data)
    try:
        check_answers(store)
        store.repair_parts()
        [size] = store.partitions()
        assert size.old_bytes > 0
        store.drop(1)
        assert not set_aside(data / "store")
        assert not store.problems
        assert not store.incomplete
    finally:
        store.close()


def test_what_somebody_takes_away_is_no_problem_any_more(data: Path) -> None:
    DAMAGE["remove"](parts(data / "store")[0] / "data.bin")
    store = open_store(data)
    try:
        assert store.incomplete == (f"1 damaged part with {RECORDS:,} records is set aside",)
        [directory] = (data / "store").glob("store/*/*/detached/*")
        shutil.rmtree(directory)
        store.repair_parts()
        assert not store.problems
        assert not store.incomplete
    finally:
        store.close()


def test_old_parts_are_read_in_the_background(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part_checks, "_IDLE_SECONDS", 0.0)
    monkeypatch.setattr(part_checks, "BYTES_PER_SECOND", 10**12)
    young, old, _ = parts(data / "store")
    for part in (young, old):
        flip(part / "minmax__slice.idx")
    long_ago = time.time() - 2 * part_checks._YOUNG_SECONDS
    os.utime(old, (long_ago, long_ago))
    store = open_store(data)
    try:
        for _ in range(5):
            store.check_part()
        store.repair_parts()
        assert set_aside(data / "store") == [old.name]
    finally:
        store.close()


@pytest.fixture(autouse=True)
def no_leftovers(tmp_path: Path) -> Iterator[None]:
    """Copies of a store for each case would fill a small disk."""
    yield
    shutil.rmtree(tmp_path / "data", ignore_errors=True)
