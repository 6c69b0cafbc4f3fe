"""`GET /api/v1/sources`, `logriver sources` and the metrics of followed files, on real servers and files."""

import csv
import gzip
import io
import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import google_crc32c
import pytest

from logriver import clock
from logriver.file_position import Committed, FileIdentity, Gap
from logriver.follow.lag import Lag
from tests.commands import logriver, on_terminal
from tests.conftest import RunningServer
from tests.running_agent import RunningAgent

NewServer = Callable[..., RunningServer]
SECONDS = 60
NAMES = [f"service-{number:02}.log" for number in range(25)]


def sources(server: RunningServer, **wanted: object) -> dict[str, Any]:
    """The answer, of which every value is what JSON has."""
    answer = server.client.get("/api/v1/sources", params={name: str(value) for name, value in wanted.items()})
    assert answer.status_code == 200, answer.text
    content: dict[str, Any] = answer.json()
    return content


def until(condition: Callable[[], bool], what: Callable[[], object]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, what()
        time.sleep(0.1)


def wait_until_held(server: RunningServer, *paths: Path) -> None:
    sizes = {str(path): path.stat().st_size for path in paths}

    def held() -> dict[str, int]:
        return {one["path"]: one["committed_bytes"] for one in sources(server)["sources"] if one["path"] in sizes}

    until(lambda: held() == sizes, held)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningServer, Path]]:
    """A server called `web1` with many small files, all of them held."""
    base = tmp_path_factory.mktemp("sources")
    logs = base / "logs"
    logs.mkdir()
    for name in NAMES:
        (logs / name).write_text(f"2024-01-01T00:00:00Z a line of {name}\n" * 3)
    server = RunningServer(base / "data", "--follow", str(logs), "--name", "web1")
    wait_until_held(server, *(logs / name for name in NAMES))
    yield server, logs
    assert server.stop() == 0


def test_a_source_says_what_is_committed_of_each_incarnation(many: tuple[RunningServer, Path]) -> None:
    server, logs = many
    path = logs / NAMES[3]
    size = path.stat().st_size
    answer = sources(server, source=path)
    (source,) = answer["sources"]
    assert (source["follower"], source["connected"], source["format"], source["error"]) == ("web1", True, "text", "")
    assert (source["committed_bytes"], source["size_bytes"], source["lag_bytes"], source["lag_seconds"]) == (
        size,
        size,
        0,
        0,
    )
    (identity,) = source["incarnations"]
    assert (identity["state"], identity["committed"], identity["gaps"]) == ("followed", [[0, size]], [])
    assert identity["crc32c"] == f"{google_crc32c.value(path.read_bytes()):08x}"
    assert source["last_event"] >= identity["last_event"] > "2024"
    until(lambda: sources(server, source=path)["searchable"]["records"] == 3, lambda: sources(server, source=path))
    assert sources(server, source=path)["searchable"]["oldest_offset"] == 0


def test_pages_have_every_source_once(many: tuple[RunningServer, Path]) -> None:
    server, logs = many
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = sources(server, limit=10, cursor=cursor)
        assert page["total"] == len(NAMES)
        found += [source["path"] for source in page["sources"]]
        cursor = page["cursor"]
    assert found == [str(logs / name) for name in NAMES]
    part = sources(server, q="ice-1", limit=3)
    assert (part["total"], len(part["sources"])) == (10, 3)


@pytest.mark.parametrize(
    ("path", "parameters"),
    [
        ("sources", {"limit": "0"}),
        ("sources", {"limit": "x"}),
        ("sources", {"cursor": "no cursor"}),
        ("sources", {"cursor": "WzFd"}),
        ("sources/lines", {"source": "/x", "start": "-1", "end": "1"}),
        ("sources/lines", {"source": "/x", "start": "2", "end": "1"}),
        ("sources/lines", {"source": "/x", "start": "0", "end": "16000001"}),
        ("sources/lines", {"source": "/x", "start": "0", "end": "9" * 40}),
        ("sources/lines", {"source": "", "start": "0", "end": "1"}),
        ("sources/lines", {"source": "/x", "start": "0"}),
    ],
)
def test_wrong_parameters_are_refused(many: tuple[RunningServer, Path], path: str, parameters: dict[str, str]) -> None:
    answer = many[0].client.get(f"/api/v1/{path}", params=parameters)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")


def test_lines_are_those_of_the_source_in_the_bytes_asked_for(many: tuple[RunningServer, Path]) -> None:
    server, logs = many
    path = logs / NAMES[0]
    size = path.stat().st_size // 3
    params = {"source": str(path), "start": str(size), "end": str(3 * size)}
    lines = server.client.get("/api/v1/sources/lines", params=params).text.splitlines()
    records = [json.loads(line) for line in lines]
    assert [record[0] for record in records] == [size, 2 * size]
    assert {record[1] for record in records} == {1_704_067_200_000_000_000}
    # Equal lines have equal hashes, and another text in the quotes finds nothing.
    assert len({record[3] for record in records}) == 1
    assert server.client.get("/api/v1/sources/lines", params=params | {"source": "x' OR 1=1 --"}).text == ""


def test_the_command_shows_them_and_what_is_wrong(many: tuple[RunningServer, Path], tmp_path: Path) -> None:
    server, logs = many
    done = logriver("sources", "-o", "csv", LOGRIVER_SERVER=server.url)
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [row["path"] for row in rows] == [str(logs / name) for name in NAMES]
    assert {(row["follower"], row["lag"], row["gaps"], row["problem"]) for row in rows} == {("web1", "0", "0", "")}
    assert len(logriver("sources", "service-07", LOGRIVER_SERVER=server.url).stdout.splitlines()) == 2
    _, narrow, _ = on_terminal("sources", "service-07", LOGRIVER_SERVER=server.url, COLUMNS="80")
    assert re.match(rf"path {{9}}{logs}/service-07.log\nfollower {{5}}web1\n", narrow), narrow
    _, wide, _ = on_terminal("sources", "service-07", LOGRIVER_SERVER=server.url, COLUMNS="300")
    assert f"│ {logs}/service-07.log │ web1" in wide
    none = logriver("sources", "servise-07", LOGRIVER_SERVER=server.url)
    assert (none.returncode, none.stderr) == (1, "no followed file has 'servise-07' in its path\n")
    assert logriver("sources", LOGRIVER_SERVER="http://127.0.0.1:1").returncode == 2


def test_of_an_agents_file_is_shown_what_it_says_and_what_is_held_when_it_is_gone(
    late: tuple[RunningServer, Path], tmp_path: Path
) -> None:
    server, _ = late
    path = tmp_path / "far.log"
    path.write_text("from another machine\n")

    def source() -> dict[str, Any]:
        found = sources(server, source=path)["sources"]
        return found[0] if found else {}

    agent = RunningAgent(tmp_path / "agent.log", "--server", server.url, "--name", "far", str(path))
    try:
        until(lambda: source().get("connected") is True and source()["file"] == str(path), source)
        assert (source()["follower"], source()["format"], source()["lag_bytes"]) == ("far", "text", 0)
        assert [(incarnation["state"], incarnation["committed"]) for incarnation in source()["incarnations"]] == [
            ("followed", [[0, 21]])
        ]
        assert r'{follower="far"}' in metric(server, "logriver_followed_lag_seconds")
    finally:
        agent.kill()
    until(lambda: source()["connected"] is False, source)
    assert (source()["lag_bytes"], source()["committed_bytes"], source()["error"]) == (
        None,
        21,
        "its follower 'far' is not connected",
    )
    assert r'{follower="far"}' not in metric(server, "logriver_followed_lag_seconds")
    assert logriver("verify", str(path), str(path), LOGRIVER_SERVER=server.url).returncode == 0


def test_an_agent_may_have_the_name_of_its_server(new_server: NewServer, tmp_path: Path) -> None:
    """As both have where nobody gives them one: a server that follows nothing leaves the agent's files to the agent."""
    path = tmp_path / "app.log"
    path.write_text("one\n")
    server = new_server(LOGRIVER_NAME="web1")
    agent = RunningAgent(tmp_path / "agent.log", "--server", server.url, "--name", "web1", f"{path}*")
    wait_until_held(server, path)
    path.rename(f"{path}.1")
    agent.kill()
    server.stop()
    with Path(f"{path}.1").open("a") as file:
        file.write("two\n")
    server.start()
    # Longer than a look: the lines are the agent's to send, in the format of the agent's file.
    time.sleep(2)
    (source,) = sources(server)["sources"]
    assert (source["connected"], source["committed_bytes"]) == (False, 4)
    agent = RunningAgent(tmp_path / "agent.log", "--server", server.url, "--name", "web1", f"{path}*")
    try:
        until(
            lambda: [(one["committed_bytes"], one["file"]) for one in sources(server)["sources"]] == [(8, f"{path}.1")],
            lambda: sources(server),
        )
        (source,) = sources(server)["sources"]
        assert (source["path"], source["connected"], source["error"]) == (str(path), True, "")
    finally:
        agent.kill()


def test_gaps_and_last_events_outlive_a_crash(new_server: NewServer, tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_text("one\n")
    server = new_server("--follow", f"{path}", "--follow", str(tmp_path / "none.log"), "--name", "here")
    wait_until_held(server, path)
    (before,) = sources(server, source=path)["sources"]
    server.kill()
    with path.open("a") as file:
        file.write("nobody reads this\n")
    # What has these bytes is cut off: they are known to be gone.
    Path(f"{path}.1.gz").write_bytes(gzip.compress(path.read_bytes())[:-1])
    os.truncate(path, 0)
    path.write_text("two\nthree\n")
    server.start()
    wait_until_held(server, path)
    (source,) = sources(server, source=path)["sources"]
    first, second = source["incarnations"]
    assert (first["state"], first["committed"], first["last_event"]) == (
        "truncated",
        [[0, 4]],
        before["incarnations"][0]["last_event"],
    )
    (gap,) = first["gaps"]
    assert (gap["offset"], gap["exact"], gap["lost"]) == (4, False, True)
    assert (second["state"], second["committed"], second["gaps"]) == ("followed", [[0, 10]], [])
    done = logriver("sources", "app.log", LOGRIVER_SERVER=server.url)
    assert (done.returncode, done.stdout.splitlines()[1].split("\t")[6]) == (1, "1")
    # Another name is another follower: what this one holds is shown, how far it is behind nobody knows.
    server.stop()
    server._arguments = ("--name", "elsewhere")
    server.start()
    (source,) = sources(server, source=path)["sources"]
    assert (source["follower"], source["connected"], source["lag_bytes"]) == ("here", False, None)
    assert "not connected" in source["error"]
    assert [incarnation["state"] for incarnation in source["incarnations"]] == ["truncated", "away"]


@pytest.fixture(scope="module")
def late(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningServer, Path]]:
    """A server that follows a file from its end on."""
    base = tmp_path_factory.mktemp("late")
    path = base / "app.log"
    path.write_text("old\n" * 100)
    server = RunningServer(base / "data", "--follow", str(path), "--from-end", "--name", 'we"b\n1')
    wait_until_held(server, path)
    yield server, path
    assert server.stop() == 0


def test_what_was_left_out_on_purpose_is_not_lost(late: tuple[RunningServer, Path]) -> None:
    server, path = late
    with path.open("a") as file:
        file.write("new\n")
    wait_until_held(server, path)
    (identity,) = sources(server, source=path)["sources"][0]["incarnations"]
    assert identity["committed"] == [[400, 404]]
    assert [(gap["offset"], gap["bytes"], gap["exact"], gap["lost"]) for gap in identity["gaps"]] == [
        (0, 400, True, False)
    ]
    done = logriver("sources", "app.log", "-o", "ndjson", LOGRIVER_SERVER=server.url)
    assert (done.returncode, json.loads(done.stdout)["gaps"]) == (0, 0)
    code = logriver("verify", str(path), str(path), LOGRIVER_SERVER=server.url)
    assert (code.returncode, "100 lines left out on purpose" in code.stdout) == (0, True), code.stdout


@contextmanager
def growing_without_an_end(path: Path) -> Iterator[None]:
    """A line that goes on and on: it cannot be taken."""
    stop = threading.Event()

    def grow() -> None:
        while not stop.wait(0.2):
            with path.open("a") as file:
                file.write("x")

    writer = threading.Thread(target=grow)
    writer.start()
    try:
        yield
    finally:
        stop.set()
        writer.join()


def test_lag_grows_in_bytes_and_seconds_and_is_a_metric(late: tuple[RunningServer, Path]) -> None:
    server, path = late

    def source() -> dict[str, Any]:
        found: dict[str, Any] = sources(server, source=path)["sources"][0]
        return found

    with growing_without_an_end(path):
        until(lambda: source()["lag_seconds"] > 3, source)
        now = source()
        assert now["committed_bytes"] + now["lag_bytes"] == now["size_bytes"]
        measured = metric(server, "logriver_followed_lag_seconds")
        assert 3 < measured[r'{follower="we\"b\n1"}'] < SECONDS
        assert metric(server, "logriver_followed_lag_bytes")[r'{follower="we\"b\n1"}'] > 5
    with path.open("a") as file:
        file.write("\n")
    wait_until_held(server, path)
    until(lambda: (source()["lag_bytes"], source()["lag_seconds"]) == (0, 0), source)
    assert metric(server, "logriver_followed_lag_seconds") == {r'{follower="we\"b\n1"}': 0}


def metric(server: RunningServer, name: str) -> dict[str, float]:
    lines = [line for line in server.client.get("/metrics").text.splitlines() if line.startswith(f"{name}{{")]
    return {line[len(name) :].rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}


def test_a_file_that_is_always_read_a_moment_later_is_not_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(clock, "monotonic", lambda: now)
    late, slow = Lag(), Lag()
    for second in range(300):
        now = float(second)
        size = 100 * second + 100
        late.look(size, size - 50)
        slow.look(size, max(0, size - 6_000))
        assert late.seconds(size - 50) <= 1
    # A minute of bytes is missing, and it is a minute that is said, however many looks there were.
    assert [slow.seconds(size - 100 * seconds) for seconds in range(1, 61)] == list(range(60))
    slow.look(10, 0)
    now += 5
    assert slow.seconds(0) == 5


def test_of_very_many_looks_few_are_kept_and_the_age_is_never_less_than_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(clock, "monotonic", lambda: now)
    lag = Lag()
    for second in range(5_000):
        now = float(second)
        lag.look(second + 1, 0)
    for held in (0, 1_000, 4_000, 4_990):
        assert 5_000 - 1 - held <= lag.seconds(held) + 1
    assert lag.seconds(0) == 4_999
    assert lag.seconds(5_000) == 0


def test_of_a_path_whose_file_was_deleted_and_made_anew_the_new_one_is_shown(
    new_server: NewServer, tmp_path: Path
) -> None:
    path = tmp_path / "app.log"
    path.write_text("the first\n")
    server = new_server("--follow", str(path))
    wait_until_held(server, path)
    path.unlink()
    path.write_text("another, which is longer\n")
    began = time.monotonic()
    wait_until_held(server, path)
    # The deleted one is read on for a minute, in which somebody may still write to it.
    assert time.monotonic() - began < 30


def test_held_ranges_are_what_is_left_between_the_gaps() -> None:
    def gap(offset: int, size: int) -> Gap:
        return Gap(offset, size, True, "", 0)

    identity = FileIdentity("me", 1, 2, 3, "head")
    cases: list[tuple[int, tuple[Gap, ...], list[tuple[int, int]]]] = [
        (0, (), []),
        (100, (), [(0, 100)]),
        (100, (gap(0, 10),), [(10, 100)]),
        (100, (gap(50, 10), gap(20, 5)), [(0, 20), (25, 50), (60, 100)]),
        (100, (gap(20, 50), gap(30, 5), gap(60, 20)), [(0, 20), (80, 100)]),
        (100, (gap(100, 50),), [(0, 100)]),
        (100, (gap(90, 50), gap(200, 5)), [(0, 90)]),
    ]
    for end, gaps, expected in cases:
        assert Committed(identity, "/x", end, 0, b"", gaps=gaps).ranges() == expected
