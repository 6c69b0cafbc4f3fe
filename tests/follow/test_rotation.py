"""Files that are rotated in every way while they are written at 10,000 lines/s: 0 lost, 0 doubled, through a server."""

import gzip
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from logriver.file_position import Committed
from logriver.queue.ledger import FORGET_AFTER_NS
from logriver.queue.state import Snapshot, State
from tests.conftest import RunningServer
from tests.crash.test_crash import NewServer
from tests.crash.test_crash_syscalls import Cut, kill_at
from tests.crash_clients import stored, wait_until_stored
from tests.follow.rotation_writer import LogWriter

SEED = 20261122
_HELD_SECONDS = 60
Source = dict[str, object]


def sources(server: RunningServer) -> list[Source]:
    """What the server says of followed files; nothing while it is down."""
    with suppress(httpx.TransportError):
        answer = httpx.get(f"{server.url}/api/v1/sources", timeout=10, trust_env=False)
        found: list[Source] = answer.json()["sources"]
        return found
    return []


def wait_until_held(server: RunningServer, path: Path) -> None:
    """Every byte of the file is held, under whatever source."""
    deadline = time.monotonic() + _HELD_SECONDS
    while not any(s["file"] == str(path) and s["committed_bytes"] == path.stat().st_size for s in sources(server)):
        assert time.monotonic() < deadline, sources(server)
        time.sleep(0.05)


def gaps(server: RunningServer) -> list[tuple[object, object]]:
    """Offset and size of each gap, once for each incarnation."""
    found = {}
    for source in sources(server):
        for identity in source["incarnations"]:  # type: ignore[attr-defined]
            for gap in identity["gaps"]:
                found[identity["inode"], identity["incarnation"], gap["offset"]] = (gap["offset"], gap["bytes"])
    return sorted(found.values())


@contextmanager
def killed_at_random(server: RunningServer, seed: int, most_seconds: float = 2.0) -> Iterator[list[int]]:
    """SIGKILL and start it again and again inside of this block; the list has an entry for each kill."""
    choice, stop, kills = random.Random(seed), threading.Event(), list[int]()

    def kill_often() -> None:
        while not stop.wait(choice.uniform(0.3, most_seconds)):
            server.kill()
            kills.append(1)
            time.sleep(choice.uniform(0, 0.3))
            server.start()

    thread = threading.Thread(target=kill_often)
    thread.start()
    try:
        yield kills
    finally:
        stop.set()
        thread.join()


def assert_lines_once_and_in_order(server: RunningServer, writer: LogWriter) -> None:
    """Each line that was written is stored once, with its offset; those of one life of the file in their order."""
    wait_until_held(server, writer.path)
    deadline = time.monotonic() + _HELD_SECONDS
    while server.status()["stored"] < len(writer.lines) and time.monotonic() < deadline:  # type: ignore[operator]
        time.sleep(0.1)
    # Time for one look more, which finds what would be read twice.
    time.sleep(1.5)
    wait_until_stored(server)
    found_gaps = gaps(server)
    assert server.stop() == 0
    rows = stored(
        server.data,
        "SELECT JSONExtractInt(attributes, 'n') AS n, JSONExtractInt(attributes, 'life'), toInt64(_offset) FROM logs "
        "ORDER BY _seq",
    )
    found = [(int(str(n)), int(str(life)), int(str(offset))) for n, life, offset in rows]
    counts, expected = Counter(found), Counter(writer.lines)
    assert sorted(expected - counts)[:9] == [], f"{(expected - counts).total()} lost of {len(writer.lines)}"
    assert sorted(counts - expected)[:9] == [], f"{(counts - expected).total()} doubled"
    last: dict[int, int] = {}
    for _, life, offset in found:
        assert offset > last.get(life, -1)
        last[life] = offset
    assert found_gaps == []


def rotate_all_ways(writer: LogWriter, server: RunningServer, rounds: int, pause_seconds: float, seed: int) -> None:
    """Each way of rotation in each round, in an order of chance."""
    choice = random.Random(seed)

    def held() -> None:
        wait_until_held(server, writer.path)

    ways: list[Callable[[], None]] = [
        writer.rename,
        writer.copy_and_truncate,
        lambda: writer.truncate(held),
        lambda: writer.delete(held),
    ]
    for _ in range(rounds):
        choice.shuffle(ways)
        for way in ways:
            time.sleep(pause_seconds)
            way()


def rotate_and_kill(server: RunningServer, path: Path, rounds: int, pause_seconds: float, seed: int) -> None:
    writer = LogWriter(path)
    writer.start()
    with killed_at_random(server, seed) as kills:
        rotate_all_ways(writer, server, rounds, pause_seconds, seed)
    writer.finish()
    assert kills
    assert_lines_once_and_in_order(server, writer)


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    "pattern",
    [
        pytest.param("app.log*", id="glob"),
        pytest.param("app.log", id="file"),
        pytest.param("", id="directory", marks=pytest.mark.soak),
    ],
)
def test_rotated_in_every_way_and_killed_nothing_is_lost_or_doubled(
    new_server: NewServer, tmp_path: Path, pattern: str
) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    server = new_server("--follow", f"json={logs / pattern}")
    rotate_and_kill(server, logs / "app.log", 1, 0.5, SEED)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(10))
def test_rotated_in_every_way_and_killed_for_long(new_server: NewServer, tmp_path: Path, seed: int) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    server = new_server("--follow", f"json={logs / ('app.log*' if seed % 2 else 'app.log')}")
    rotate_and_kill(server, logs / "app.log", 8, 2.5, seed)


CUTS = [Cut("log", "fdatasync", 4), Cut("log", "writev", 3)]


@pytest.mark.timeout(240)
def test_killed_between_system_calls_while_files_rotate(new_server: NewServer, tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    server = new_server("--follow", f"json={logs / 'app.log*'}", LOGRIVER_SEGMENT_BYTES="1000000")
    writer = LogWriter(logs / "app.log")
    writer.start()
    killed = 0
    for number, cut in enumerate(CUTS):
        server.kill()
        rotate = writer.copy_and_truncate if number % 2 else writer.rename
        timer = threading.Timer(0.8, rotate)
        timer.start()
        killed += kill_at(server, cut, tmp_path / f"trace-{number}")
        timer.join()
    server.wrapper = []
    server.kill()
    server.start()
    writer.finish()
    assert killed
    assert_lines_once_and_in_order(server, writer)


def append(path: Path, data: str) -> int:
    with path.open("a") as file:
        file.write(data)
    return len(data)


def messages(server: RunningServer, count: int) -> list[str]:
    """The messages stored, in their order, once there are so many."""
    deadline = time.monotonic() + 20
    while len(rows := server.search(limit=1000, order="asc")) < count:
        assert time.monotonic() < deadline, rows
        time.sleep(0.05)
    return [str(row["message"]) for row in rows]


@pytest.mark.parametrize("copy", ["app.log.1", "app.log.1.gz"])
def test_what_a_copy_has_is_read_from_it_although_only_the_file_is_followed(
    new_server: NewServer, tmp_path: Path, copy: str
) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    path = logs / "app.log"
    server = new_server("--follow", f"text={path}")
    append(path, "2024-01-01T00:00:01Z one\n")
    assert len(messages(server, 1)) == 1
    server.kill()
    append(path, "2024-01-01T00:00:02Z two\n2024-01-01T00:00:02Z last")
    compress = gzip.compress if copy.endswith(".gz") else bytes
    (logs / copy).write_bytes(compress(path.read_bytes()))
    # Written between copying and truncating: neither read nor known of.
    append(path, " and nobody will read this\n")
    os.truncate(path, 0)
    append(path, "2024-01-01T00:00:03Z three\n")
    for _ in range(2):
        server.start()
        assert sorted(text.split()[-1] for text in messages(server, 4)) == ["last", "one", "three", "two"]
        assert gaps(server) == []
        time.sleep(1.5)
        assert len(server.search()) == 4
        server.kill()


def test_what_a_tool_destroyed_while_the_server_was_down_is_no_gap_as_nobody_saw_it(
    new_server: NewServer, tmp_path: Path
) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    path = logs / "app.log"
    server = new_server("--follow", f"text={path}")
    append(path, "2024-01-01T00:00:01Z one\n")
    messages(server, 1)
    server.kill()
    append(path, "2024-01-01T00:00:02Z nobody will read this\n")
    os.truncate(path, 0)
    append(path, "2024-01-01T00:00:03Z three\n")
    for _ in range(2):
        server.start()
        assert [text.split()[-1] for text in messages(server, 2)] == ["one", "three"]
        # It is as if the file had been read to its end and truncated then: that there were more bytes, nobody knows.
        assert gaps(server) == []
        server.kill()
    server.start()
    (source,) = sources(server)
    assert [identity["state"] for identity in source["incarnations"]] == ["truncated", "followed"]  # type: ignore[attr-defined]


def test_an_incarnation_is_forgotten_30_days_after_its_file_is_gone(new_server: NewServer, tmp_path: Path) -> None:
    path, away = tmp_path / "app.log", tmp_path / "elsewhere" / "app.log"
    away.parent.mkdir()
    server = new_server("--follow", f"text={path}")
    append(path, "2024-01-01T00:00:01Z one\n")
    messages(server, 1)
    assert server.stop() == 0
    path.rename(away)
    server.start()
    wait_for_state(server, "gone")
    assert server.stop() == 0
    # As if it were so long ago; the server has the machine's clock.
    (known,) = ledger_of(server.data)
    age_ledger(server.data, replace(known, gone_ns=known.gone_ns - FORGET_AFTER_NS))
    server.start()
    assert server.stop() == 0
    assert ledger_of(server.data) == []
    away.rename(path)
    server.start()
    # Nobody knows it any more: it is a new file.
    assert len(messages(server, 2)) == 2


def wait_for_state(server: RunningServer, state: str) -> None:
    deadline = time.monotonic() + 20
    while [one["state"] for source in sources(server) for one in source["incarnations"]] != [state]:  # type: ignore[attr-defined]
        assert time.monotonic() < deadline, sources(server)
        time.sleep(0.05)


def ledger_of(data: Path) -> list[Committed]:
    state = State(data / "state.db", 10**9)
    try:
        return state.known().files
    finally:
        state.close()


def age_ledger(data: Path, held: Committed) -> None:
    state = State(data / "state.db", 10**9)
    state.save(Snapshot(state.number("watermark"), state.number("highest"), {}, [held], []), 0)
    state.close()
