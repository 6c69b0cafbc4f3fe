"""`logriver tail` against a real server: the newest records, then each that arrives, once, whatever happens."""

import json
import queue
import re
import signal
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import IO, Any

import httpx
import pytest

from tests.commands import CLEAN, line, logriver, searchable
from tests.conftest import RunningServer

NewServer = Callable[..., RunningServer]

WAIT_SECONDS = 30


class Tailing:
    """A tail that runs; `take` gives the next lines that it prints, `said` what it said on stderr so far."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(line(*arguments), env=CLEAN, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert self.process.stdout
        assert self.process.stderr
        self._printed: queue.Queue[str] = queue.Queue()
        self._said: queue.Queue[str] = queue.Queue()
        self._readers = [
            threading.Thread(target=_read, args=(self.process.stdout, self._printed)),
            threading.Thread(target=_read, args=(self.process.stderr, self._said)),
        ]
        for reader in self._readers:
            reader.start()

    def take(self, count: int) -> list[str]:
        return [self._printed.get(timeout=WAIT_SECONDS) for _ in range(count)]

    def rest(self) -> list[str]:
        return [self._printed.get() for _ in range(self._printed.qsize())]

    @property
    def said(self) -> list[str]:
        return [self._said.get() for _ in range(self._said.qsize())]

    def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.end()

    def end(self) -> int:
        code = self.process.wait(WAIT_SECONDS)
        for reader in self._readers:
            reader.join(WAIT_SECONDS)
        return code


def _read(stream: IO[bytes], lines: "queue.Queue[str]") -> None:
    with stream:
        for text in stream:
            lines.put(text.decode().removesuffix("\n"))


@pytest.fixture
def tail() -> Iterator[Callable[..., Tailing]]:
    """Starts tails, which are ended with the test."""
    started: list[Tailing] = []

    def start(*arguments: str) -> Tailing:
        started.append(Tailing(*arguments))
        return started[-1]

    yield start
    for tailing in started:
        tailing.process.kill()
        tailing.end()


@pytest.fixture
def run() -> str:
    return uuid.uuid4().hex


def records(run: str, numbers: range) -> list[dict[str, Any]]:
    return [{"message": f"number {n}", "n": n, "run": run} for n in numbers]


def shown(numbers: range) -> list[str]:
    return [f"number {n}" for n in numbers]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def test_the_newest_and_then_what_arrives(server: RunningServer, run: str, tail: Callable[..., Tailing]) -> None:
    searchable(server, records(run, range(15)))
    # Without the `_id`, which the command asks for to know what it has shown.
    tailing = tail("tail", f"run:{run} -n:16 | fields message", "--server", server.url)
    assert tailing.take(10) == shown(range(5, 15))
    searchable(server, records(run, range(15, 18)))
    assert tailing.take(2) == ["number 15", "number 17"]
    assert (tailing.interrupt(), tailing.rest(), tailing.said) == (130, [], [])


@pytest.mark.parametrize("options", [("-n", "0"), ("-n", "2"), ("--since", "1h")])
def test_how_many_it_begins_with(
    server: RunningServer, run: str, tail: Callable[..., Tailing], options: tuple[str, ...]
) -> None:
    searchable(server, records(run, range(12)))
    tailing = tail("search", "-f", f"run:{run}", "-o", "ndjson", "--server", server.url, *options)
    first = {"0": 12, "2": 10}.get(options[1], 0)
    seen = [json.loads(document) for document in tailing.take(12 - first)]
    # Nothing shows that a tail without records has begun, so one is sent until it is seen.
    extra = 12
    while not (after := tailing.rest()):
        searchable(server, records(run, range(extra, extra + 1)))
        extra += 1
        time.sleep(0.2)
    seen += [json.loads(document) for document in after]
    assert [document["n"] for document in seen] == list(range(seen[0]["n"], seen[0]["n"] + len(seen)))
    assert seen[0]["n"] >= first
    assert seen[0]["n"] == first or options[1] == "0"
    assert all(document["_id"] for document in seen)
    assert tailing.interrupt() == 130


def test_signs_that_end_lines_elsewhere_end_none_here(
    server: RunningServer, run: str, tail: Callable[..., Tailing]
) -> None:
    tailing = tail("tail", f"run:{run}", "-o", "ndjson", "--server", server.url)
    message = "a\u2028b\x85c\x0cd\re\nf\x1cg"
    searchable(server, [{"message": message, "run": run}])
    assert json.loads(tailing.take(1)[0])["message"] == message


def test_nothing_falls_between_the_newest_and_what_arrives(
    server: RunningServer, run: str, tail: Callable[..., Tailing]
) -> None:
    """Tails that begin while records arrive show each of them once, from the first that they show."""
    count = 600
    sent_all = threading.Event()

    def keep_sending() -> None:
        for n in range(count):
            server.client.post("/api/v1/logs", json=records(run, range(n, n + 1)))
        sent_all.set()

    sender = threading.Thread(target=keep_sending)
    sender.start()
    tails = [tail("tail", f"run:{run} | fields n", "-n", "5", "-o", "ndjson", "--server", server.url) for _ in range(2)]
    for tailing in tails:
        seen: list[int] = []
        while not seen or seen[-1] < count - 1:
            seen += [json.loads(document)["n"] for document in tailing.take(1)]
        assert seen == list(range(seen[0], count))
        assert tailing.rest() == []
    sender.join()
    assert sent_all.is_set()


def test_nothing_is_lost_or_doubled_over_a_restart(
    new_server: NewServer, run: str, tail: Callable[..., Tailing]
) -> None:
    port = free_port()
    server = new_server("--listen", f"127.0.0.1:{port}")
    count, batch = 300, 5

    def keep_sending() -> None:
        for start in range(0, count, batch):
            while True:
                try:
                    body = json.dumps(records(run, range(start, start + batch)))
                    httpx.post(f"{address}/api/v1/logs", content=body, headers={"Idempotency-Key": f"{run}{start}"})
                    break
                except httpx.HTTPError:
                    time.sleep(0.05)
            time.sleep(0.02)

    address = f"http://127.0.0.1:{port}"
    tailing = tail("tail", f"run:{run} | fields n", "-n", str(count), "-o", "ndjson", "--server", address)
    sender = threading.Thread(target=keep_sending)
    sender.start()
    seen = tailing.take(40)
    server.kill()
    server.start()
    seen += tailing.take(count - len(seen))
    sender.join()
    assert [json.loads(document)["n"] for document in seen] == list(range(count))
    lost, again = tailing.said
    assert re.fullmatch(r"connection lost: .+; trying again", lost)
    assert again == "connected again"
    assert (tailing.interrupt(), tailing.rest()) == (130, [])


def test_nobody_reads_on(server: RunningServer, run: str) -> None:
    searchable(server, records(run, range(3)))
    command = line("tail", f"run:{run}", "--server", server.url)
    with subprocess.Popen(command, env=CLEAN, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as tailing:
        assert tailing.stdout
        assert tailing.stderr
        assert b"number 0" in tailing.stdout.readline()
        tailing.stdout.close()
        searchable(server, records(run, range(3, 4)))
        assert tailing.stderr.read() == b""
    assert -tailing.returncode == signal.SIGPIPE


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("| stats count()",), "the pipe 'stats' gives no records"),
        (('level:error "x',), '  level:error "x\n              ^\nerror: the quote is not closed'),
        (("a | sort n",), "takes no pipe but 'fields'"),
        (("", "-o", "json"), "'json' is not one of"),
        (("", "--since", "yesterdayish"), "not a time: 'yesterdayish'"),
    ],
)
def test_what_cannot_be_followed_is_2(server: RunningServer, arguments: tuple[str, ...], said: str) -> None:
    done = logriver("tail", *arguments, "--server", server.url)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_a_server_that_is_not_there_is_2_at_once() -> None:
    address = f"http://127.0.0.1:{free_port()}"
    done = logriver("tail", "--server", address)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: no answer from '{address}': ")
    assert done.stderr.endswith("hint: is it running?\n")
