"""What the queue remembers in its file: snapshots as a whole or not at all, keys and dead letters bounded."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from logriver import metrics
from logriver.errors import DataDirectoryError
from logriver.file_position import Committed, FileIdentity
from logriver.queue import state as state_module
from logriver.queue.base import DeadLetter
from logriver.queue.state import KEY_LIFE_NS, KnownKey, SkippedRange, Snapshot, State

NOW_NS = 1_700_000_000_000_000_000
HELD = Committed(FileIdentity("me", 1, 2, 3, "head"), "/var/log/x", 10, 7, b"tail")


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    made = State(tmp_path / "state.db", 1_000)
    yield made
    made.close()


def key(received_ns: int = NOW_NS) -> KnownKey:
    return KnownKey(b"content", 5, 1, received_ns)


def snapshot(watermark: int, **keys: KnownKey) -> Snapshot:
    scopes = {name.encode(): known for name, known in keys.items()}
    return Snapshot(watermark, watermark + 5, scopes, [HELD], [SkippedRange(watermark, watermark, "lost")])


def dead_letter(seq: int, size: int = 10) -> DeadLetter:
    return DeadLetter(seq, "bad", b"x" * size, "source", NOW_NS)


def test_a_snapshot_is_there_after_a_restart(tmp_path: Path) -> None:
    first = State(tmp_path / "state.db", 1_000)
    assert (first.number("watermark"), first.number("highest"), first.known().files, first.skipped_ranges()) == (
        0,
        0,
        [],
        [],
    )
    first.save(snapshot(10, a=key()), NOW_NS)
    first.save(snapshot(20, b=key()), NOW_NS)
    first.close()

    again = State(tmp_path / "state.db", 1_000)

    assert (again.number("watermark"), again.number("highest")) == (20, 25)
    assert again.known().files == [HELD]
    assert again.key(b"a") == again.key(b"b") == key()
    assert again.key(b"c") is None
    assert again.skipped_ranges() == [SkippedRange(10, 10, "lost"), SkippedRange(20, 20, "lost")]
    again.close()


def test_a_snapshot_that_fails_changes_nothing(state: State) -> None:
    state.save(snapshot(10, a=key()), NOW_NS)
    broken = snapshot(20, b=key())
    broken.skipped_ranges.append(SkippedRange(2**63, 0, "beyond what the file can hold"))

    with pytest.raises((sqlite3.Error, OverflowError)):
        state.save(broken, NOW_NS)

    assert (state.number("watermark"), state.number("highest")) == (10, 15)
    assert state.key(b"b") is None
    assert state.skipped_ranges() == [SkippedRange(10, 10, "lost")]
    state.save(snapshot(30), NOW_NS)
    assert state.number("watermark") == 30


def test_a_copy_taken_at_any_time_is_one_whole_snapshot(tmp_path: Path, state: State) -> None:
    """A process that is killed leaves the file and its journal as they are."""
    for watermark in range(1, 30):
        state.save(snapshot(watermark, **{f"k{watermark}": key()}), NOW_NS)
        for name in ("state.db", "state.db-wal"):
            (tmp_path / f"copy-{name}").write_bytes((tmp_path / name).read_bytes())
        copy = State(tmp_path / "copy-state.db", 1_000)
        assert copy.number("watermark") == watermark
        assert copy.key(f"k{watermark}".encode()) == key()
        assert len(copy.skipped_ranges()) == watermark
        copy.close()


def test_old_keys_go(state: State) -> None:
    state.save(snapshot(1, old=key(NOW_NS - KEY_LIFE_NS - 1), young=key(NOW_NS - KEY_LIFE_NS)), NOW_NS)
    assert state.key(b"old") is None
    assert state.key(b"young") is not None


def test_the_oldest_keys_go_beyond_their_number_and_are_counted(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_module, "MAX_KEYS", 3)
    before = counted("keys_expired_by_count")
    state.save(snapshot(1, **{f"k{age}": key(NOW_NS - age) for age in range(5)}), NOW_NS)
    assert [state.key(f"k{age}".encode()) is not None for age in range(5)] == [True, True, True, False, False]
    assert counted("keys_expired_by_count") - before == 2


def test_dead_letters_are_kept_once_under_their_number(state: State) -> None:
    state.dead_letter([dead_letter(1), dead_letter(2)])
    state.dead_letter([dead_letter(2, size=500), dead_letter(3)])
    assert state.dead_letter_count == 3
    assert state.dead_lettered(2, 10) == {2, 3}
    assert state.dead_lettered(4, 10) == set()


def test_dead_letters_are_bounded_and_what_goes_is_counted(state: State) -> None:
    before = counted("dead_letters_removed")
    for seq in range(1, 101):
        state.dead_letter([dead_letter(seq, size=100)])
    kept = state.dead_lettered(1, 100)
    assert kept == set(range(101 - len(kept), 101)), "the newest are kept"
    assert 5 <= len(kept) <= 10
    assert state.dead_letter_count == len(kept)
    assert counted("dead_letters_removed") - before == 100 - len(kept)


def test_one_letter_is_kept_however_large(state: State) -> None:
    state.dead_letter([dead_letter(1, size=5_000)])
    assert state.dead_lettered(1, 1) == {1}
    state.dead_letter([dead_letter(2, size=5_000)])
    assert state.dead_lettered(1, 2) == {2}


def test_dead_letters_are_there_after_a_restart(tmp_path: Path) -> None:
    first = State(tmp_path / "state.db", 1_000)
    first.dead_letter([dead_letter(7)])
    first.close()
    again = State(tmp_path / "state.db", 1_000)
    assert again.dead_letter_count == 1
    assert again.dead_lettered(7, 7) == {7}
    again.close()


def test_a_damaged_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "state.db").write_bytes(b"not a database" * 100)
    with pytest.raises(DataDirectoryError, match=r"state\.db"):
        State(tmp_path / "state.db", 1_000)


def counted(name: str) -> float:
    return metrics.REGISTRY.get_sample_value(f"logriver_{name}_total") or 0.0
