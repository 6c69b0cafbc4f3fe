"""`logriver search -A -B -C` against a real server, and against what grep prints of the same lines."""

import random
import subprocess
import uuid

import pytest

from tests.commands import logriver, on_terminal, searchable
from tests.conftest import RunningServer

LINES = 300


@pytest.fixture(scope="module")
def lines(server: RunningServer) -> tuple[str, str]:
    """Lines of one service, each third word of them `needle`, with those of another in between; and the service."""
    service = f"context-{uuid.uuid4().hex}"
    choice = random.Random(7)
    messages = [
        f"{n} {choice.choice(('needle', 'hay', 'hay', 'straw', 'grass', 'grass', 'grass'))}" for n in range(LINES)
    ]
    records = [
        {"service": name, "message": message, "timestamp": f"2024-09-14T16:{n // 60:02}:{n % 60:02}Z"}
        for n, message in enumerate(messages)
        for name in (service, f"{service}-beside")
    ]
    searchable(server, records)
    return service, "".join(f"{message}\n" for message in messages)


@pytest.mark.parametrize(
    "options",
    [("-C", "1"), ("-C", "2"), ("-A", "3"), ("-B", "3"), ("-A", "0", "-C", "2"), ("-C", "999"), ()],
    ids=" ".join,
)
@pytest.mark.parametrize("word", ["needle", "straw"])
def test_grep_prints_the_same(
    server: RunningServer, lines: tuple[str, str], word: str, options: tuple[str, ...]
) -> None:
    service, text = lines
    expected = subprocess.run(["grep", *options, word], input=text, capture_output=True, text=True, check=True).stdout
    done = logriver("search", f"service:{service} {word}", *options, "--server", server.url)
    assert (done.returncode, done.stderr) == (0, "")
    assert "".join(f"{line.split(f' {service} ')[-1]}\n" for line in done.stdout.splitlines()) == expected


def test_a_pipe_may_say_how_many(server: RunningServer, lines: tuple[str, str]) -> None:
    service, _ = lines
    asked = (f"service:{service} needle", "-C", "1", "--server", server.url)
    limited = logriver("search", f"{asked[0]} | limit 2", *asked[1:])
    assert limited.stdout == logriver("search", *asked, "-n", "2").stdout
    assert len(limited.stdout.splitlines()) > 2


def test_what_lies_close_together_is_asked_for_once(server: RunningServer, lines: tuple[str, str]) -> None:
    service, text = lines
    before = queries(server)
    done = logriver("search", f"service:{service}", "-n", "300", "-C", "2", "--server", server.url)
    assert len(done.stdout.splitlines()) == len(text.splitlines())
    assert queries(server) - before < 20


def test_lines_touch_in_the_order_of_arrival(server: RunningServer) -> None:
    service = f"order-{uuid.uuid4().hex}"
    order = random.Random(5).sample(range(60), 60)
    searchable(
        server, [{"service": service, "message": f"{n}", "timestamp": f"2024-09-14T16:15:{n:02}Z"} for n in order]
    )
    done = logriver("search", f"service:{service}", "-A", "2", "--server", server.url)
    expected, shown = [], list[int]()
    for n in range(60):
        for place in range(order.index(n), min(order.index(n) + 3, 60)):
            if place not in shown:
                expected += ["--"] * (bool(shown) and abs(shown[-1] - place) != 1)
                expected.append(str(order[place]))
                shown.append(place)
    assert [line.split()[-1] for line in done.stdout.splitlines()] == expected


def queries(server: RunningServer) -> int:
    """How many the server has answered."""
    metrics = server.client.get("/metrics").text
    return sum(
        int(float(line.split()[-1])) for line in metrics.splitlines() if line.startswith("logriver_query_seconds_count")
    )


def test_the_newest_may_come_first(server: RunningServer, lines: tuple[str, str]) -> None:
    service, _ = lines
    asked = ("search", f"service:{service} needle", "-n", "2", "-A", "1", "--server", server.url)
    oldest_first = logriver(*asked).stdout.splitlines()
    assert logriver(*asked, "-r").stdout.splitlines() == oldest_first[::-1]
    assert len(oldest_first) > 2


def test_what_was_not_asked_for_is_dim(server: RunningServer, lines: tuple[str, str]) -> None:
    service, _ = lines
    _, printed, _ = on_terminal("search", f"service:{service} 2", "-C", "1", "--server", server.url)
    assert [line.startswith("\x1b[2m2024") and line.endswith("\x1b[0m") for line in printed.splitlines()] == [
        True,
        False,
        True,
    ], printed


@pytest.mark.parametrize(
    ("query", "options"),
    [
        ("x", ("-f",)),
        ("x", ("--include-files",)),
        ("x", ("-o", "ndjson")),
        ("x", ("-n", "all")),
        ("x", ("-n", "1001")),
        ("* | stats count()", ()),
        ("* | fields message", ()),
        ("* | patterns", ()),
    ],
)
def test_what_has_no_lines_around_it_is_2(server: RunningServer, query: str, options: tuple[str, ...]) -> None:
    done = logriver("search", query, "-C", "1", *options, "--server", server.url)
    assert (done.returncode, done.stdout) == (2, "")
    assert "-C" in done.stderr


def test_nothing_found_is_1(server: RunningServer) -> None:
    done = logriver("search", f"x{uuid.uuid4().hex}", "-C", "3", "--server", server.url)
    assert (done.returncode, done.stdout) == (1, "")
