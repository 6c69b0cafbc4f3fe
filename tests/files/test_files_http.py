"""`/logs` and `/api/v1/files` of a running server: statuses, limits, clients that leave."""

import contextlib
import gzip
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from logriver import clock
from tests.conftest import RunningServer

GB = 1_000_000_000
# Kept by the event loop for other things, it would be a moment.
PROMPT_SECONDS = 10


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("files") / "root"
    (root / "sub").mkdir(parents=True)
    (root / "app.log").write_bytes(b"".join(b"2026-01-02T03:04:%02dZ line %d\n" % (at, at) for at in range(60)))
    (root / "odd.log").write_bytes(b"caf\xe9\r\n\nlast \xff")
    (root / "old.log.gz").write_bytes(gzip.compress(b"old one\nold two\n"))
    (root / "big.log").write_bytes(b"some line of a log that is long enough\n" * 1_000_000)
    (root / "sub" / "out").symlink_to("/etc/hostname")
    os.mkfifo(root / "fifo")
    # No line end and no disk: a line as long as the file.
    (root / "hole.log").touch()
    os.truncate(root / "hole.log", 40 * GB)
    with (root / "long.log").open("wb") as file:
        file.write(b"first\nneedle")
        file.seek(300_000_000)
        file.write(b"\nlast\n")
    return root


@pytest.fixture(scope="module")
def files(root: Path) -> Iterator[RunningServer]:
    """A server with one root and two places to read in."""
    settings = {"LOGRIVER_MAX_FILE_READS": "2"}
    running = RunningServer(root.parent / "data", "--files-root", str(root), environment=settings)
    yield running
    assert running.stop() == 0, running.log_path.read_text()[-2000:]


def logs(files: RunningServer, **asked: object) -> httpx.Response:
    return files.client.get("/logs", params={name: str(value) for name, value in asked.items()})


def test_the_call_of_the_log_agent(files: RunningServer) -> None:
    answer = logs(files, filename="app.log", keyword="line 1", n=3)
    assert answer.text == "".join(f"2026-01-02T03:04:{at}Z line {at}\n" for at in (19, 18, 17))
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"


def test_all_lines_and_none(files: RunningServer, root: Path) -> None:
    everything = (root / "app.log").read_text().splitlines(keepends=True)
    assert logs(files, filename="app.log").text == "".join(reversed(everything))
    assert logs(files, filename="app.log", n=10**30).text.count("\n") == 60
    assert logs(files, filename="app.log", n=0).content == b""
    assert logs(files, filename="app.log", keyword="Line").content == b""


def test_bytes_that_are_not_utf8_are_shown(files: RunningServer) -> None:
    answer = logs(files, filename="odd.log")
    assert answer.content == b"last \xff\n\ncaf\xe9\r\n"


def test_further_ways_to_ask(files: RunningServer, root: Path) -> None:
    asked: dict[str, object] = {"filename": str(root / "app.log")}
    assert logs(files, **asked, regex=r"line 5[89]$").text.count("\n") == 2
    assert logs(files, **asked, keyword=r"line 5[89]$", regex="true").text.count("\n") == 2
    assert logs(files, **asked, keyword=r"line 5[89]$").text == ""
    assert logs(files, **asked, keyword="LINE 58", ignore_case="true").text.endswith("line 58\n")
    both = logs(files, **asked, keyword="58\n2026-01-02T03:04:59Z", multiline="true").text
    assert both == "2026-01-02T03:04:58Z line 58\n2026-01-02T03:04:59Z line 59\n"
    times = {"from": "2026-01-02T03:04:10Z", "to": "2026-01-02T03:04:12Z"}
    assert logs(files, **asked, **times).text == "2026-01-02T03:04:11Z line 11\n2026-01-02T03:04:10Z line 10\n"
    assert logs(files, filename="old.log.gz", keyword="old", n=1).text == "old two\n"


@pytest.mark.parametrize(
    ("status", "asked"),
    [
        (400, {}),
        (400, {"filename": ""}),
        (400, {"filename": "sub"}),
        (400, {"filename": "fifo"}),
        (400, {"filename": "a\0b"}),
        (403, {"filename": "../data/TOKEN"}),
        (403, {"filename": "/etc/passwd"}),
        (403, {"filename": "sub/out"}),
        (403, {"filename": "../missing"}),
        (404, {"filename": "missing"}),
        (404, {"filename": "x" * 5_000}),
        (404, {"filename": "%ff"}),
        (422, {"filename": "app.log", "n": "-1"}),
        (422, {"filename": "app.log", "n": "x"}),
        (422, {"filename": "app.log", "n": "1.5"}),
        (422, {"filename": "app.log", "n": ""}),
        (422, {"filename": "big.log", "from": "1h"}),
        (400, {"filename": "app.log", "regex": "("}),
        (400, {"filename": "app.log", "regex": "x", "keyword": "y"}),
        (400, {"filename": "app.log", "ignore_case": "maybe"}),
        (400, {"filename": "app.log", "from": "yesterday-ish"}),
        (400, {"filename": "app.log", "hostname": "nobody"}),
    ],
)
def test_what_is_wrong_has_its_status(files: RunningServer, status: int, asked: dict[str, str]) -> None:
    answer = logs(files, **asked)
    assert (answer.status_code, answer.json()["error"]["message"] != "") == (status, True)


def test_bytes_in_the_address_that_are_not_utf8(files: RunningServer) -> None:
    assert files.client.get("/logs?filename=%ff%fe.log").status_code == 404


def test_this_server_has_a_name(files: RunningServer) -> None:
    assert logs(files, filename="app.log", n=1, hostname=socket.gethostname()).text.endswith("line 59\n")


def test_a_listing(files: RunningServer, root: Path) -> None:
    answer = files.client.get("/api/v1/files").json()
    found = {entry["name"]: entry for entry in answer["entries"]}
    assert list(found) == sorted(path.name for path in root.iterdir())
    assert (found["app.log"]["size"], found["app.log"]["type"]) == ((root / "app.log").stat().st_size, "file")
    assert found["app.log"]["modified"] == clock.to_text((root / "app.log").stat().st_mtime_ns)
    assert not answer["truncated"]
    (inner,) = files.client.get("/api/v1/files", params={"path": "sub"}).json()["entries"]
    assert (inner["name"], inner["type"]) == ("out", "link")


@pytest.mark.parametrize(("path", "status"), [("..", 403), ("/etc", 403), ("missing", 404), ("a\0", 400)])
def test_a_listing_that_is_refused(files: RunningServer, path: str, status: int) -> None:
    assert files.client.get("/api/v1/files", params={"path": path}).status_code == status


def test_a_listing_of_an_unknown_agent(files: RunningServer) -> None:
    assert files.client.get("/api/v1/files", params={"agent": "nobody"}).status_code == 400


def wait_until_free(files: RunningServer) -> None:
    """Wait until nothing is read any more."""
    deadline = time.monotonic() + PROMPT_SECONDS
    while logs(files, filename="app.log", n=1).status_code == 429:
        assert time.monotonic() < deadline, "a place stays taken"
        time.sleep(0.02)


def test_more_readers_than_places_are_told_to_come_back(files: RunningServer) -> None:
    wait_until_free(files)
    asked = {"filename": "big.log"}
    with files.client.stream("GET", "/logs", params=asked) as one, files.client.stream("GET", "/logs", params=asked):
        assert one.status_code == 200
        turned_away = logs(files, filename="app.log")
        assert turned_away.status_code == 429
        assert int(turned_away.headers["retry-after"]) >= 1
        assert files.client.get("/api/v1/files").status_code == 429
        # Everything else goes on.
        assert files.client.get("/api/v1/status").status_code == 200
    wait_until_free(files)
    assert 'logriver_requests_turned_away_total{reason="files"}' in files.client.get("/metrics").text


def test_a_client_that_leaves_stops_the_reading(files: RunningServer) -> None:
    """40 GB without a line: what nobody waits for any more does not go on for a minute."""
    wait_until_free(files)
    for _ in range(2):
        with pytest.raises(httpx.ReadTimeout):
            files.client.get("/logs", params={"filename": "hole.log", "keyword": "x"}, timeout=0.5)
    began = time.monotonic()
    wait_until_free(files)
    read_after = processor_seconds(files)
    time.sleep(0.5)
    assert time.monotonic() - began < PROMPT_SECONDS
    assert processor_seconds(files) - read_after < 0.4


def processor_seconds(files: RunningServer) -> float:
    times = psutil.Process(files.process.pid).cpu_times()
    return float(times.user + times.system)


def test_others_are_answered_while_a_file_is_searched(files: RunningServer) -> None:
    wait_until_free(files)

    def search() -> None:
        with contextlib.suppress(httpx.ReadTimeout):
            httpx.get(f"{files.url}/logs?filename=hole.log&keyword=x", timeout=1.5)

    searching = threading.Thread(target=search)
    searching.start()
    taken = []
    while searching.is_alive():
        began = time.monotonic()
        files.client.get("/health").raise_for_status()
        taken.append(time.monotonic() - began)
    searching.join()
    assert sorted(taken)[len(taken) // 2] < 0.1


def test_a_line_of_any_length_in_constant_memory(files: RunningServer) -> None:
    wait_until_free(files)
    process, stop = psutil.Process(files.process.pid), threading.Event()
    logs(files, filename="app.log")
    before = most = process.memory_info().rss

    def watch() -> None:
        nonlocal most
        while not stop.wait(0.01):
            most = max(most, process.memory_info().rss)

    watching = threading.Thread(target=watch)
    watching.start()
    length, last = 0, b""
    asked, plain = {"filename": "long.log", "keyword": "needle"}, {"Accept-Encoding": "identity"}
    with files.client.stream("GET", "/logs", params=asked, headers=plain) as answer:
        for piece in answer.iter_raw():
            length += len(piece)
            last = piece
    stop.set()
    watching.join()

    assert length == 300_000_000 - len(b"first\n") + 1
    assert last.endswith(b"\n")
    assert most - before < 60_000_000


def test_a_file_truncated_midway_breaks_the_stream(files: RunningServer, root: Path) -> None:
    (root / "shrinks.log").write_bytes(b"some line of a log that is long enough\n" * 1_000_000)
    with files.client.stream("GET", "/logs", params={"filename": "shrinks.log"}) as answer:
        pieces = answer.iter_raw()
        next(pieces)
        os.truncate(root / "shrinks.log", 10)
        with pytest.raises(httpx.RemoteProtocolError):
            list(pieces)


def test_who_asks_again_on_the_end_is_not_turned_away(new_server: Callable[..., RunningServer], tmp_path: Path) -> None:
    """The one slot for reading is free when the end is sent, not a moment later."""
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "app.log").write_bytes(b"a line\n")
    server = new_server("--files-root", str(tmp_path / "root"), LOGRIVER_MAX_FILE_READS="1")
    with httpx.Client(base_url=server.url) as other:
        for client in [server.client, other] * 100:
            with client.stream("GET", "/api/v1/files/search", params={"q": "line"}) as answer:
                assert answer.status_code == 200
                pieces = answer.iter_raw()
                told = b""
                while b'"end"' not in told:
                    told += next(pieces)
                # The next is asked on the other connection while this answer is still open.
                following = other if client is server.client else server.client
                assert following.get("/logs", params={"filename": "app.log"}).status_code == 200


def test_schema_names_the_calls(files: RunningServer) -> None:
    paths = files.client.get("/openapi.json").json()["paths"]
    names = {parameter["name"] for parameter in paths["/logs"]["get"]["parameters"]}
    assert {"filename", "keyword", "n", "hostname", "regex", "ignore_case", "multiline", "from", "to"} <= names
    assert "/api/v1/files" in paths


@pytest.mark.skipif(os.geteuid() != 0, reason="only for a server that runs as root")
def test_root_reads_only_for_who_has_the_token_unless_a_root_was_given(
    new_server: Callable[..., RunningServer],
) -> None:
    running = new_server()
    for address in ("/logs?filename=missing.log", "/api/v1/files"):
        refused = running.client.get(address)
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "forbidden")
    token = (running.data / "TOKEN").read_text().strip()
    shown = {"Authorization": f"Bearer {token}"}
    assert running.client.get("/logs?filename=missing.log", headers=shown).status_code == 404
    assert running.client.get("/api/v1/files", headers=shown).status_code == 200
    assert running.client.get("/api/v1/files", headers={"Authorization": "Bearer wrong"}).status_code == 403
