"""`logriver search` against a real server: on a terminal, in a pipe, into files, and as tables."""

import json
import os
import re
import subprocess
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from logriver.cli.render.highlight import marks_of
from tests.commands import CLEAN, line, logriver, on_terminal, searchable, terminal
from tests.conftest import RunningServer

NewServer = Callable[..., RunningServer]

RECORDS = [
    ("info", "user logged in", 10),
    ("error", "Failed to connect to \x1b[2J\x9bDB\nat line 7\u202e", 30),
    ("warn", "slow query", 20),
    ("error", "Failed to connect to cache", 40),
]
MANY = 3_000


@pytest.fixture(scope="module")
def run(server: RunningServer) -> str:
    """The field and value of the records that the tests here look for."""
    run = uuid.uuid4().hex
    searchable(
        server,
        [
            {"timestamp": f"2024-09-14T16:15:3{n}Z", "level": level, "message": message, "latency": latency, "run": run}
            for n, (level, message, latency) in enumerate(RECORDS)
        ],
    )
    return f"run:{run}"


@pytest.fixture(scope="module")
def many(server: RunningServer) -> str:
    run = uuid.uuid4().hex
    searchable(server, [{"message": f"number {n}", "n": n, "many": run, "pad": "x" * 500} for n in range(MANY)])
    return f"many:{run}"


def numbers(printed: str) -> list[int]:
    return [json.loads(document)["n"] for document in printed.splitlines()]


# -- lines -------------------------------------------------------------------------------------------------------------


def test_a_pipe_gets_plain_lines(server: RunningServer, run: str) -> None:
    done = logriver("search", f"{run} | fields timestamp, level, message, latency", "--utc", "--server", server.url)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "2024-09-14 16:15:30.000Z INFO  user logged in latency=10",
        r"2024-09-14 16:15:31.000Z ERROR Failed to connect to \x1b[2J\x9bDB",
        r"    at line 7\u202e latency=30",
        "2024-09-14 16:15:32.000Z WARN  slow query latency=20",
        "2024-09-14 16:15:33.000Z ERROR Failed to connect to cache latency=40",
    ]


def test_a_line_of_a_file_has_its_name_where_it_names_no_service(new_server: NewServer, tmp_path: Path) -> None:
    lines = [
        "2024-09-14T16:15:30Z INFO from a file",
        '{"timestamp":"2024-09-14T16:15:31Z","message":"m","service":"web"}',
    ]
    for number, text in enumerate(lines):
        (tmp_path / f"app{number}.log").write_text(f"{text}\n")
    server = new_server("--follow", str(tmp_path / "app*.log"))
    server.client.post("/api/v1/logs", json={"timestamp": "2024-09-14T16:15:32Z", "message": "sent"})
    give_up_at = time.monotonic() + 20
    while len(server.search(q="")) < 3 and time.monotonic() < give_up_at:
        time.sleep(0.1)
    done = logriver("search", "--utc", "--server", server.url)
    assert [printed.rstrip() for printed in done.stdout.splitlines()] == [
        "2024-09-14 16:15:30.000Z INFO  app0.log 2024-09-14T16:15:30Z INFO from a file",
        "2024-09-14 16:15:31.000Z       web m",
        "2024-09-14 16:15:32.000Z       sent",
    ]


def test_a_terminal_gets_colours_and_marks(server: RunningServer, run: str) -> None:
    query = f'{run} "connect to" -cache (db OR at) | fields level, message'
    code, shown, said = on_terminal("search", query, "--server", server.url)
    assert (code, said) == (0, "")
    mark, end = "\x1b[30;43m", "\x1b[0m"
    error = f"\x1b[1;31mERROR{end} Failed to "
    assert shown == f"{error}{mark}connect to{end} \\x1b[2J\\x9b{mark}DB{end}\n    {mark}at{end} line 7\\u202e\n"


def test_a_terminal_is_told_that_nothing_was_found(server: RunningServer) -> None:
    words = uuid.uuid4().hex
    assert on_terminal("search", words, "--server", server.url) == (1, "", "nothing found\n")
    silent = logriver("search", words, "--server", server.url)
    assert (silent.returncode, silent.stdout, silent.stderr) == (1, "", "")


@pytest.mark.parametrize(
    ("color", "environment", "colored"),
    [("auto", {"NO_COLOR": "1"}, False), ("auto", {"TERM": "dumb"}, False), ("never", {}, False)],
)
def test_a_terminal_may_want_no_colours(
    server: RunningServer, run: str, color: str, environment: dict[str, str], colored: bool
) -> None:
    _, shown, _ = on_terminal("search", run, "--color", color, "--server", server.url, **environment)
    assert "ERROR Failed" in shown
    assert ("\x1b" in shown) is colored


def test_a_pipe_may_want_colours(server: RunningServer, run: str) -> None:
    done = logriver("search", f"{run} cache", "--color", "always", "--server", server.url, NO_COLOR="1")
    assert "\x1b[1;31mERROR\x1b[0m" in done.stdout
    assert "\x1b[30;43mcache\x1b[0m" in done.stdout


@pytest.mark.parametrize(
    ("query", "message", "marked"),
    [
        ("connect", "Connect reconnect connect_x connected", ["Connect", "connect"]),
        ("conn* *nect*", "connected reconnects", ["conn", "nect"]),
        ('"to the db" -the NOT db', "to the DB, the db", ["to the DB"]),
        ("user_id=5", "user id 5, user-id 5, id=5", ["user id 5", "user-id 5"]),
        ("level:error message:lost service:(a OR b)", "error lost a b", ["lost"]),
        ("(a OR b) -(c d) => café", "a b c d => cafés café", ["a", "b", "=>", "café"]),
        ('=~"a.c" *:abc', "abc", []),
        ("a | stats count() by b", "a b count", ["a"]),
        ("a*a*a*a*a*b", "aaaaaaab", []),
        ("a AND b", "a and b", ["a", "b"]),
        ("", "anything", []),
    ],
)
def test_the_words_that_were_asked_for_are_marked(query: str, message: str, marked: list[str]) -> None:
    marks = marks_of(query)
    assert [found[0] for found in marks.finditer(message)] == marked if marks else not marked


def test_the_order_is_newest_last_or_what_was_asked_for(server: RunningServer, run: str) -> None:
    def latencies(query: str, *options: str) -> list[int]:
        printed = logriver("search", f"{run} {query}", "-o", "ndjson", "--server", server.url, *options).stdout
        return [json.loads(document)["latency"] for document in printed.splitlines()]

    assert latencies("", "-n", "2") == [20, 40]
    assert latencies("", "-n", "2", "-r") == [40, 20]
    assert latencies("| sort latency desc") == [40, 30, 20, 10]
    assert latencies("| limit 3") == [30, 20, 40]
    assert latencies("", "--since", "2024-09-14T16:15:31Z", "--until", "2024-09-14T16:15:33Z") == [30, 20]


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (("--since", "2024-09-14 12:15:31", "--until", "2024-09-14T12:15:33"), [30, 20]),
        (("--since", "2024-09-14 16:15:31", "--until", "2024-09-14T16:15:33", "--utc"), [30, 20]),
        (("--since", "2024-09-14T18:15:31+02:00", "--until", "1726330533"), [30, 20]),
        (("--since", "2024-09-15"), []),
        (("--since", "20240914", "--until", "20240915"), [10, 30, 20, 40]),
        (("--since", "20240914", "--until", "2024-09-14 00:00"), []),
    ],
)
def test_times_without_a_zone_are_those_that_are_printed(
    server: RunningServer, run: str, options: tuple[str, ...], found: list[int]
) -> None:
    asked = ("search", run, *options, "-o", "ndjson", "--server", server.url)
    printed = logriver(*asked, TZ="America/New_York").stdout
    assert [json.loads(document)["latency"] for document in printed.splitlines()] == found


def test_times_may_be_said_as_people_say_them(server: RunningServer) -> None:
    run = uuid.uuid4().hex
    now = datetime.now(UTC)
    hours = [0.1, 2, 24, 24 * 3]
    searchable(
        server, [{"n": n, "run": run, "time": (now - timedelta(hours=ago)).isoformat()} for n, ago in enumerate(hours)]
    )

    def found(*options: str) -> list[int]:
        return numbers(logriver("search", f"run:{run}", *options, "-o", "ndjson", "--server", server.url).stdout)[::-1]

    assert found("--since", "-1h") == [0]
    assert found("--since", "yesterday", "--utc") == [0, 1, 2]
    midnight = now.replace(hour=0, minute=0, second=0)
    today = [n for n, ago in enumerate(hours) if now - timedelta(hours=ago) >= midnight]
    assert found("--since", "today", "--utc") == today
    assert found("--until", "today", "--utc") == [n for n in range(4) if n not in today]


def test_more_than_a_page_is_streamed_in_the_same_order(server: RunningServer, many: str) -> None:
    everything = logriver("search", many, "-n", "all", "-o", "ndjson", "--server", server.url)
    assert (everything.returncode, everything.stderr) == (0, "")
    assert numbers(everything.stdout) == list(range(MANY))
    part = logriver("search", many, "-n", "1500", "-o", "ndjson", "--server", server.url)
    assert numbers(part.stdout) == list(range(MANY - 1500, MANY))
    newest_first = logriver("search", many, "-n", "all", "-r", "-o", "json", "--server", server.url)
    assert [document["n"] for document in json.loads(newest_first.stdout)] == list(range(MANY))[::-1]
    assert len(logriver("search", many, "--server", server.url).stdout.splitlines()) == 100


# -- exit codes and what is said ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [(), ("-n", "all")])
def test_nothing_found_is_1_with_a_hint(server: RunningServer, run: str, options: tuple[str, ...]) -> None:
    done = logriver("search", f"{run} levle:error", "--server", server.url, *options)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"hint: there is no field 'levle', but 'level': `{run} level:error`\n"


@pytest.mark.parametrize(
    ("query", "pointed"),
    [
        ('level:error "x', '  level:error "x\n              ^\n'),
        ('日本 "x', '  日本 "x\n       ^\n'),
        ('level:error\n  "x', '    "x\n    ^\n'),
        ("a | stats count() by", "  a | stats count() by\n                      ^\n"),
        ('\x1b "', '  \\x1b "\n       ^\n'),
    ],
)
def test_an_error_is_2_and_points_into_the_query(server: RunningServer, query: str, pointed: str) -> None:
    done = logriver("search", query, "--server", server.url)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(pointed), done.stderr
    assert done.stderr[len(pointed) :].startswith("error: ")


@pytest.mark.parametrize(
    "options",
    [
        ("-n", "0"),
        ("-n", "many"),
        ("-o", "xml"),
        ("-f", "-r"),
        ("-f", "-o", "csv"),
        ("-f", "--until", "now"),
        ("--since", "yesterdayish"),
        ("| stats count()", "-o", "parquet"),
        (b"\xff".decode(errors="surrogateescape"),),
    ],
)
def test_what_cannot_be_asked_is_2(server: RunningServer, options: tuple[str, ...]) -> None:
    done = logriver("search", "--server", server.url, *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr
    assert "Traceback" not in done.stderr


def test_nobody_reads_on(server: RunningServer, many: str) -> None:
    command = line("search", many, "-n", "all", "--server", server.url)
    with subprocess.Popen(command, env=CLEAN, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as searching:
        assert searching.stdout
        assert searching.stderr
        assert b"number 0" in searching.stdout.readline()
        searching.stdout.close()
        assert searching.stderr.read() == b""
    assert searching.returncode == -13


# -- files -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("format", "media_type"), [("csv", "text/csv"), ("parquet", "application/vnd.apache.parquet")])
def test_files_are_the_servers(server: RunningServer, many: str, format: str, media_type: str) -> None:
    done = subprocess.run(
        line("search", many, "-n", "200", "-o", format, "--server", server.url),
        env=CLEAN,
        capture_output=True,
        check=True,
    )
    params: dict[str, str] = {"q": many, "limit": "200"}
    expected = server.client.get("/api/v1/search", params=params, headers={"Accept": media_type}).content
    assert done.stderr == b""
    assert done.stdout == expected
    assert len(expected) > 200


def test_a_file_says_that_it_may_not_be_all(server: RunningServer, run: str) -> None:
    done = logriver("search", run, "-o", "csv", "--server", server.url)
    assert done.stderr == "the newest 100 at most; -n all gives everything\n"
    assert done.stdout.count("2024-09-14T") == len(RECORDS)
    nothing = logriver("search", f"{run} level:none", "-o", "csv", "--server", server.url)
    assert (nothing.returncode, nothing.stdout.count("\n")) == (1, 1)


def test_parquet_is_not_for_a_terminal(server: RunningServer, run: str) -> None:
    code, shown, said = on_terminal("search", run, "-o", "parquet", "--server", server.url)
    assert (code, shown) == (2, "")
    assert "parquet is not for a terminal" in said


def test_a_long_export_shows_on_a_terminal_how_far_it_is(server: RunningServer, many: str) -> None:
    command = line("search", many, "-n", "all", "-o", "ndjson", "--server", server.url)
    with terminal() as (outside, shown):
        exporting = subprocess.Popen(command, env=CLEAN, stdout=subprocess.PIPE, stderr=outside)
        assert exporting.stdout
        first = exporting.stdout.readline()
        # A reader that makes it last.
        time.sleep(1.5)
        rest = exporting.stdout.read()
        assert exporting.wait(20) == 0
        exporting.stdout.close()
    assert numbers((first + rest).decode()) == list(range(MANY))
    assert re.search(r"\r\x1b\[K[\d,]+ records, \d\.\d MB, \d+\.\d .?B/s, 00:00:0\d\r\n$", shown.decode()), shown


def test_an_answer_that_breaks_off_is_an_error(new_server: NewServer) -> None:
    server = new_server()
    searchable(server, [{"n": n, "pad": os.urandom(500).hex()} for n in range(10_000)])
    command = line("search", "-n", "all", "-o", "ndjson", "--server", server.url)
    with subprocess.Popen(command, env=CLEAN, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as exporting:
        assert exporting.stdout
        assert exporting.stderr
        assert exporting.stdout.readline()
        server.kill()
        assert exporting.stdout.read().count(b"\n") < 10_000 - 1
        assert b"error: the answer broke off" in exporting.stderr.read()
    assert exporting.returncode == 2


# -- tables ------------------------------------------------------------------------------------------------------------


def test_statistics_are_a_table(server: RunningServer, run: str) -> None:
    query = f"{run} | stats count() as n, max(latency) as slowest by level | sort level"
    plain = logriver("search", query, "--server", server.url)
    assert plain.stdout == "level\tn\tslowest\ninfo\t1\t10\nwarn\t1\t20\nerror\t2\t40\n"
    documents = logriver("search", query, "-n", "1", "-o", "ndjson", "--server", server.url).stdout
    assert documents == '{"level":"info","n":1,"slowest":10}\n'
    code, shown, _ = on_terminal("search", query, "--server", server.url)
    assert code == 0
    assert re.search(r"│ error +│ +2 │ +40 │", shown), shown
    _, ascii_only, _ = on_terminal("search", f"{run} | top 1 level", "--color", "never", "--server", server.url)
    assert "\x1b" not in ascii_only
    assert re.search(r"│ error +│ +2 │", ascii_only), ascii_only
    nothing = logriver("search", f"{run} level:none | top 2 level", "--server", server.url)
    assert (nothing.returncode, nothing.stdout) == (1, "level\tcount\n")


def test_patterns_are_a_table(server: RunningServer, run: str) -> None:
    plain = logriver("search", f"{run} | patterns", "-n", "1", "--server", server.url)
    assert plain.returncode == 0
    header, *rows = plain.stdout.splitlines()
    assert header == "count\tfirst_seen\tlast_seen\tpattern"
    assert len(rows) == 1
    everything = logriver("search", f"{run} cache | patterns", "-o", "json", "--server", server.url).stdout
    (pattern,) = json.loads(everything)
    assert (pattern["count"], pattern["pattern"]) == (1, "Failed to connect to cache")
    assert pattern["example"] == "Failed to connect to cache"
    assert pattern["query"].startswith(f"{run} ")
