"""What queries put on the disk for want of memory is bounded, and gone after a kill."""

from pathlib import Path

import pytest

from logriver.errors import QueryTooExpensive
from logriver.store import embedded
from logriver.store.embedded import Embedded

NUMBERS = "(SELECT cityHash64(number) AS key FROM numbers(2000000))"
QUESTIONS = {
    "groups": f"SELECT sum(key) FROM (SELECT key, count() FROM {NUMBERS} GROUP BY key)",
    "rows": f"SELECT sum(key * rowNumberInAllBlocks()) FROM (SELECT key FROM {NUMBERS} ORDER BY key)",
}
# From 1 MB on they are put on the disk.
ON_DISK = ", ".join(
    f"max_bytes_before_external_{what} = 1000000, max_bytes_ratio_before_external_{what} = 0"
    for what in ("sort", "group_by")
)


def ask(directory: Path, what: str, partition_bytes: int) -> None:
    store = Embedded(directory, "abc123", 600_000_000, partition_bytes)
    try:
        store.query(f"{QUESTIONS[what]} SETTINGS {ON_DISK}, max_threads = 1")
    finally:
        store.close()
    temporary = directory / "store" / "tmp"
    assert sum(file.stat().st_size for file in temporary.rglob("*") if file.is_file()) == 0


def test_a_query_that_needs_more_than_it_may_have_is_refused(tmp_path: Path) -> None:
    ask(tmp_path, "groups", 500_000_000)
    with pytest.raises(QueryTooExpensive, match="temporary files"):
        ask(tmp_path, "groups", 100_000)


@pytest.mark.parametrize("what", QUESTIONS)
def test_a_query_leaves_room_for_logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    monkeypatch.setattr(embedded, "_TIGHT_BYTES", 2**50)
    with pytest.raises(QueryTooExpensive, match="more of the disk than is free"):
        ask(tmp_path, what, 500_000_000)


def test_what_a_killed_process_left_goes_at_the_next_start(tmp_path: Path) -> None:
    Embedded(tmp_path, "abc123", 600_000_000, 16_000_000).close()
    left = tmp_path / "store" / "tmp" / "tmp1abcdefgh"
    left.write_bytes(bytes(1000))
    Embedded(tmp_path, "abc123", 600_000_000, 16_000_000).close()
    assert not left.exists()
