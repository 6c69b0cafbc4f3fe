"""One search over what is stored and over files that were never taken in, on a server and two real agents."""

import csv
import gzip
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RunningServer
from tests.cpu_time import cpu_seconds_of
from tests.running_agent import RunningAgent

NAMES = ("web-1", "web-2")
_WAIT_SECONDS = 60
_BIG_LINES = 60_000

APP = """\
2026-01-01 10:00:{second:02}Z ERROR timeout while calling billing on {name}
2026-01-01 10:01:{second:02}Z INFO all is well
  Traceback: timeout of a line without a time
"""
JSON_LINES = (
    {"timestamp": "2026-01-02T00:00:00Z", "level": "warning", "msg": "json timeout", "latency": 12.50, "a": {"b": "x"}},
    {"timestamp": "2026-01-03T00:00:00Z", "level": "error", "msg": "slow", "latency": 900, "trace_id": "t-1"},
)


@dataclass
class Machines:
    """A server that follows one file of its own, and two agents, `web-1` of which follows one too."""

    server: RunningServer
    roots: dict[str, Path]
    agents: dict[str, RunningAgent]

    def events(self, q: str, **parameters: str | int) -> list[dict[str, Any]]:
        answer = self.server.client.get("/api/v1/files/search", params={"q": q, **parameters})
        assert answer.status_code == 200, answer.text
        return [json.loads(line) for line in answer.text.splitlines()]

    def rows(self, q: str, **parameters: str | int) -> list[dict[str, Any]]:
        return [event["row"] for event in self.events(q, **parameters) if "row" in event]

    def refusal(self, **parameters: str) -> tuple[int, dict[str, Any]]:
        answer = self.server.client.get("/api/v1/files/search", params=parameters)
        return answer.status_code, answer.json()["error"]


def wait_until(is_so: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + _WAIT_SECONDS
    while not is_so():
        assert time.monotonic() < give_up_at
        time.sleep(0.05)


def json_lines(second: int) -> list[dict[str, Any]]:
    """The same on every machine, but for the second of the first."""
    return [{**JSON_LINES[0], "timestamp": f"2026-01-02T00:00:{second:02}Z"}, *JSON_LINES[1:]]


def write_files(root: Path, second: int) -> None:
    root.mkdir()
    (root / "app.log").write_text(APP.format(second=second, name=root.name))
    (root / "deep").mkdir()
    (root / "deep" / "json.log").write_text("".join(json.dumps(line) + "\n" for line in json_lines(second)))
    if root.name == "web-2":
        (root / "mixed.log").write_text('{"message":"one"}\njava.lang.Error: stray\n{"message":"two"}\n')
    (root / "followed.log").write_text(f"2026-01-04 00:00:{second:02}Z INFO followed timeout on {root.name}\n")
    (root / "old.log.gz").write_bytes(gzip.compress(b"2025-12-01 00:00:00Z WARN archived timeout\n"))
    (root / "binary.bin").write_bytes(b"\0timeout\n" * 100)
    (root / ".hidden").write_text("hidden timeout\n")
    (root / "link.log").symlink_to("/etc/passwd")


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    directory = tmp_path_factory.mktemp("machines")
    roots = {name: directory / name for name in ("primary", *NAMES)}
    for second, root in enumerate(roots.values()):
        write_files(root, second)
    arguments = ("--name", "primary", "--files-root", str(roots["primary"]))
    server = RunningServer(directory / "data", *arguments, "--follow", str(roots["primary"] / "followed.log"))
    running = Machines(server, roots, {})
    try:
        for name in NAMES:
            own = ("--server", server.url, "--name", name, "--files-root", str(roots[name]))
            follow = (str(roots[name] / "followed.log"),) if name == "web-1" else ()
            one = {"LOGRIVER_MAX_FILE_READS": "1"} if name == "web-2" else {}
            running.agents[name] = RunningAgent(directory / f"{name}.log", *own, *follow, environment=one)
        wait_until(lambda: len(connected(server)) == len(NAMES))
        wait_until(lambda: len(server.search(q="followed timeout")) == 2)
        yield running
    finally:
        for agent in running.agents.values():
            agent.stop()
        assert server.stop() == 0


def connected(server: RunningServer) -> list[str]:
    agents = server.client.get("/api/v1/agents").json()["agents"]
    return [agent["name"] for agent in agents if agent["connected"]]


def places(rows: list[dict[str, Any]]) -> set[tuple[str, str]]:
    return {(row["_host"], Path(row["_source"]).name) for row in rows}


# -- what is found -----------------------------------------------------------------------------------------------------


def test_files_of_all_machines_are_found_but_not_those_that_are_stored(machines: Machines) -> None:
    rows = machines.rows("timeout")

    never_followed = {(name, file) for name in machines.roots for file in ("app.log", "json.log", "old.log.gz")}
    assert places(rows) == never_followed | {("web-2", "followed.log")}
    assert len(rows) == 3 * 4 + 1
    assert machines.events("timeout")[-1]["end"]["complete"]


def test_a_row_is_as_a_stored_one(machines: Machines) -> None:
    (row,) = machines.rows("json timeout", agent="web-1")
    source = str(machines.roots["web-1"] / "deep" / "json.log")

    assert row == {
        "timestamp": "2026-01-02T00:00:01Z",
        "level": "warn",
        "message": "json timeout",
        "_source": source,
        "latency": 12.5,
        "a": {"b": "x"},
        "_host": "web-1",
    }
    answer = machines.server.client.post("/api/v1/logs?wait=searchable", json=json_lines(1)[0])
    assert answer.is_success
    (stored,) = machines.server.search(q='"json timeout"')
    own = {name: value for name, value in stored.items() if name not in ("_id", "_received", "_source")}
    assert own == {name: value for name, value in row.items() if name not in ("_host", "_source")}


@pytest.mark.parametrize(
    ("q", "count"),
    [
        ("latency:>100", 1),
        ("level:warn latency:12.5", 1),
        ("a.b:x", 1),
        ('=~"^2026.*billing on web-1$"', 1),
        ("timeout NOT level:error NOT level:warn", 1),
        ("*:t-1", 1),
        ("timestamp:>2026-01-02T12:00:00Z", 1),
        ("nothing like this", 0),
    ],
)
def test_all_kinds_of_conditions(machines: Machines, q: str, count: int) -> None:
    assert len(machines.rows(q, agent="web-1")) == count


def test_a_line_without_a_time_has_that_of_the_line_before(machines: Machines) -> None:
    (row,) = machines.rows("traceback", agent="web-2")

    assert row["timestamp"] == "2026-01-01T10:01:02Z"


def test_a_line_that_is_none_of_its_file_s_format_is_text(machines: Machines) -> None:
    rows = machines.rows("stray")
    assert [(row["message"], Path(row["_source"]).name) for row in rows] == [("java.lang.Error: stray", "mixed.log")]


def test_times_and_limits_and_fields(machines: Machines) -> None:
    times = {"from": "2026-01-01T10:00:00Z", "to": "2026-01-01T10:01:00Z"}
    assert places(machines.rows("timeout", **times)) == {(name, "app.log") for name in machines.roots}

    newest = machines.rows("timeout | limit 1")
    assert newest[-1]["_source"] == str(machines.roots["web-2"] / "followed.log")
    assert machines.rows("json timeout | fields level, a.b", agent="web-1") == [
        {"level": "warn", "a.b": "x", "_host": "web-1"}
    ]


def test_a_file_last_changed_before_from_is_not_read(machines: Machines) -> None:
    path = machines.roots["web-2"] / "aged.log"
    path.write_text("2026-01-01 10:00:00Z INFO aged\n")
    os.utime(path, (1_600_000_000, 1_600_000_000))
    try:
        assert len(machines.rows("aged", agent="web-2")) == 1
        assert machines.rows("aged", agent="web-2", **{"from": "2021-01-01"}) == []
    finally:
        path.unlink()


# -- bounds and refusals -----------------------------------------------------------------------------------------------


def big_file(root: Path, lines: int = _BIG_LINES) -> Path:
    path = root / "big.log"
    line = "2026-01-01 00:00:00Z INFO padding of a line that is as long as lines of logs are, number {}\n"
    path.write_text("".join(line.format(number) for number in range(lines)))
    return path


def test_a_budget_stops_and_says_so(machines: Machines) -> None:
    path = big_file(machines.roots["web-2"])
    try:
        whole, part = (
            machines.events("padding 7", agent="web-2", **bounds)[-1]["end"]
            for bounds in ({}, {"max_bytes": 1_000_000})
        )
    finally:
        path.unlink()
    assert whole["complete"]
    assert not part["complete"]
    assert part["bytes"] < 2_000_000 < whole["bytes"]


@pytest.mark.parametrize(
    ("parameters", "position", "words"),
    [
        ({"q": 'a "b'}, 2, "the quote is not closed"),
        ({"q": "a | stats count()"}, 2, "stats"),
        ({"q": "timeout | sort level"}, 8, "no pipe but 'limit' and 'fields'"),
        ({"q": '=~"("'}, 2, "regular expression"),
        ({"q": "timestamp:>yesterday"}, 11, "timestamp"),
        ({"q": f'=~"{"(a{100}){100}"}"'}, 2, "repeat"),
        ({"max_bytes": "1e9"}, None, "max_bytes"),
        ({"limit": "0"}, None, "limit"),
        ({"agent": "nobody"}, None, "unknown host"),
    ],
)
def test_what_cannot_be_asked_is_refused(
    machines: Machines, parameters: dict[str, str], position: int | None, words: str
) -> None:
    status, error = machines.refusal(**parameters)

    assert (status, error["position"]) == (400, position)
    assert words in error["message"]


@pytest.mark.parametrize("q", ["(" * 5_000, "a OR " * 3_000 + "b", "\0", "%%%", "'; DROP TABLE logs --", "../../etc"])
def test_hostile_texts_find_nothing_or_are_refused(machines: Machines, q: str) -> None:
    answer = machines.server.client.get("/api/v1/files/search", params={"q": q})
    assert answer.status_code in (200, 400)
    assert "root:" not in answer.text


def test_too_many_at_once_are_refused_and_who_leaves_makes_space(machines: Machines) -> None:
    path = big_file(machines.roots["web-2"], 20 * _BIG_LINES)
    ask = {"q": "level:info", "agent": "web-2", "limit": "10000"}
    try:
        with machines.server.client.stream("GET", "/api/v1/files/search", params=ask) as answer:
            next(answer.iter_lines())
            status, error = machines.refusal(**ask)
            assert (status, error["code"]) == (429, "overloaded")
        # The rest of the file would take half a minute of the agent's CPU.
        process = machines.agents["web-2"].process
        used_before = cpu_seconds_of(process.pid)
        wait_until(lambda: is_free(machines))
        assert cpu_seconds_of(process.pid) - used_before < 5
    finally:
        path.unlink()


def is_free(machines: Machines) -> bool:
    ask = {"q": "number 77777777", "agent": "web-2", "max_bytes": "1000"}
    return machines.server.client.get("/api/v1/files/search", params=ask).is_success


def test_an_agent_that_dies_midway_is_told_of_and_the_others_go_on(machines: Machines) -> None:
    path = big_file(machines.roots["web-2"], 10 * _BIG_LINES)
    agent = machines.agents["web-2"]
    events: list[dict[str, Any]] = []
    try:
        # Every line is decoded, so that it takes long enough.
        parameters = {"q": "level:info OR level:error", "limit": "10000"}
        with machines.server.client.stream("GET", "/api/v1/files/search", params=parameters) as answer:
            for line in answer.iter_lines():
                events.append(json.loads(line))
                if events[-1].get("progress", {}).get("file") == str(path) and agent.process.poll() is None:
                    agent.kill()
    finally:
        agent.start()
        path.unlink()
        wait_until(lambda: "web-2" in connected(machines.server))

    (error,) = (event["error"] for event in events if "error" in event)
    assert (error["host"], error["code"]) == ("web-2", "unavailable")
    assert not events[-1]["end"]["complete"]
    assert {"primary", "web-1"} <= {event["row"]["_host"] for event in events if "row" in event}


# -- the command -------------------------------------------------------------------------------------------------------


def search(machines: Machines, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "logriver",
        "search",
        "--include-files",
        "--server",
        machines.server.url,
        *arguments,
    ]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)


def test_the_command_shows_both_by_time_each_with_its_place(machines: Machines) -> None:
    done = search(machines, "timeout", "--until", "2026-01-05", "-n", "4", "--utc")

    assert (done.returncode, done.stderr) == (0, "")
    web_2 = machines.roots["web-2"] / "followed.log"
    lines = done.stdout.splitlines()
    assert [line.partition(" INFO ")[0] for line in lines[1:]] == [f"2026-01-04 00:00:0{n}.000Z" for n in range(3)]
    assert [str(web_2) in line for line in lines] == [False, False, False, True]
    assert f"web-2:{web_2}" in lines[-1]


def test_the_command_gives_documents_with_chosen_fields(machines: Machines) -> None:
    done = search(machines, "followed timeout | fields level", "-o", "ndjson", "-r")

    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {"level": "info", "_host": "web-2"},
        {"level": "info"},
        {"level": "info"},
    ]


def test_the_command_gives_csv_as_the_server_does_with_the_machine_behind_it(machines: Machines) -> None:
    done = search(machines, "timeout level:(info OR warn)", "-n", "5", "-o", "csv")

    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    own = machines.server.client.get("/api/v1/search", params={"limit": 1}, headers={"Accept": "text/csv"}).text
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == own.splitlines()[0].replace('"', "") + ",_host"
    assert [row["_host"] for row in rows] == ["web-2", "", "", "web-2", "web-1"]
    assert [bool(row["_id"]) for row in rows] == [False, True, True, False, False]
    assert json.loads(rows[-1]["attributes"]) == {"latency": 12.5, "a": {"b": "x"}}


def test_a_csv_has_the_chosen_fields_also_where_no_record_has_them(machines: Machines) -> None:
    done = search(machines, "json timeout | fields `a.b`, nothing, latency", "-n", "1", "-o", "csv")

    assert done.stdout == "a.b,nothing,latency,_host\nx,,12.5,web-2\n"


def test_a_csv_of_nothing_is_its_header(machines: Machines) -> None:
    done = search(machines, "nothinglikethis | fields level", "-o", "csv")

    assert (done.returncode, done.stdout) == (1, "level,_host\n")


@pytest.mark.parametrize("fields", ["@timestamp, message", "meta.timestamp, message", "`a,timestamp`, message"])
def test_a_field_with_the_time_in_its_name_is_not_the_time(machines: Machines, fields: str) -> None:
    done = search(machines, f"followed timeout | fields {fields}", "-o", "ndjson")

    documents = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.returncode, done.stderr, len(documents)) == (0, "", 3)
    assert all("timestamp" not in document or fields.startswith("@") for document in documents)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("nothing like this",), 1, ""),
        (("a | sort level",), 2, "no pipe but 'fields'"),
        (('a "b',), 2, "the quote is not closed"),
        (("a", "-o", "parquet"), 2, "-o csv and -o ndjson"),
        (("a", "--max-bytes", "much"), 2, "not a size"),
        (("a", "-n", "all"), 2, "at most 10000"),
    ],
)
def test_the_exit_codes_are_those_of_a_search(
    machines: Machines, arguments: tuple[str, ...], code: int, words: str
) -> None:
    done = search(machines, *arguments)

    assert (done.returncode, done.stdout) == (code, "")
    assert words in done.stderr


def test_the_command_says_when_it_has_not_read_all(machines: Machines) -> None:
    done = search(machines, "timeout", "--max-bytes", "300")

    assert done.returncode == 0
    assert "--max-bytes reads more" in done.stderr
