"""Killed between two system calls, failing system calls, and the order of system calls, all by `strace`.

`strace` counts calls for each thread of its own, so that `when=3` kills at the third call that one thread makes; with
`-P` only calls on those paths count. Every thread of the server is traced from its first instruction.
"""

import re
import signal
import socket
import sqlite3
import subprocess
import threading
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.conftest import RunningServer
from tests.crash.test_crash import HELD, SEED, SMALL, NewServer
from tests.crash_clients import Client, assert_exactly_once, body, sending, start

_KILL_SECONDS = 4


@dataclass(frozen=True)
class Cut:
    """Kill at the `when`th call of `call` on the paths of an `owner`: log, state, or (any path) the engine."""

    owner: str
    call: str
    when: int

    def wrapper(self, data: Path, trace: Path, effect: str = "signal=KILL") -> list[str]:
        """The tracer, to be put before the server's command."""
        only = [part for path in self._paths(data) for part in ("-P", str(path))]
        return tracer(trace, self.call, f"{self.call}:{effect}:when={self.when}", *only)

    def _paths(self, data: Path) -> list[Path]:
        if self.owner == "state":
            return [data / "state.db", data / "state.db-wal", data / "state.db-shm"]
        if self.owner == "log":
            newest = max((int(path.stem) for path in (data / "log").glob("*.log")), default=0)
            around = range(max(1, newest - 200), newest + 200)
            return [data / "log", *(data / "log" / f"{number:012}.log" for number in around)]
        return []


def tracer(trace: Path, calls: str, inject: str = "", *more: str) -> list[str]:
    """`strace` as a grandchild, so that the server stays our child.

    Without an injection it stops only at `calls`, which is quick; with one it must see all, or it does not count.
    """
    options = ["-D", "-f", "-yy", "-s", "4000", "-o", str(trace), "-e", f"trace={calls}"]
    return ["strace", *options, *(["-e", f"inject={inject}"] if inject else ["--seccomp-bpf"]), *more]


CUTS = [
    *(Cut("log", "fdatasync", when) for when in (2, 6)),
    Cut("log", "writev", 2),
    Cut("log", "unlink", 1),
    Cut("state", "fdatasync", 1),
    Cut("state", "pwrite64", 5),
    Cut("engine", "rename", 1),
    Cut("engine", "fdatasync", 7),
]
MORE_CUTS = [
    Cut("log", "fdatasync", 3),
    Cut("log", "writev", 5),
    Cut("log", "fsync", 1),
    Cut("log", "unlink", 2),
    Cut("state", "fdatasync", 2),
    Cut("engine", "rename", 2),
    Cut("engine", "unlink", 8),
]


def kill_at(server: RunningServer, cut: Cut, trace: Path) -> bool:
    """Start it, wait until it is killed at the cut; False if that call is not made for some seconds."""
    server.wrapper = cut.wrapper(server.data, trace)
    if start(server):
        try:
            server.process.wait(_KILL_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
            return False
    code = server.process.returncode
    server.kill()
    return code == -signal.SIGKILL


@pytest.mark.timeout(300)
def test_killed_between_system_calls_every_acknowledged_record_is_there_once(
    new_server: NewServer, tmp_path: Path
) -> None:
    hits = kill_at_each(new_server(**SMALL), CUTS, tmp_path)
    # A call that is never made (a merge that did not come) cuts nothing; most do.
    assert hits["log"] >= 3, hits
    assert hits["state"] >= 1, hits
    assert hits["engine"] >= 1, hits


@pytest.mark.soak
def test_killed_between_more_system_calls(new_server: NewServer, tmp_path: Path) -> None:
    hits = kill_at_each(new_server(**SMALL), [*CUTS, *MORE_CUTS], tmp_path)
    assert hits["log"] >= 6, hits
    assert hits["state"] >= 2, hits
    assert hits["engine"] >= 2, hits


def kill_at_each(server: RunningServer, cuts: list[Cut], tmp_path: Path) -> Counter[str]:
    """How many cuts were met, by their owners; nothing was lost or doubled, and something was sent twice."""
    hits: Counter[str] = Counter()
    with sending(server, [1, 30, 200], SEED) as clients:
        time.sleep(0.5)
        for number, cut in enumerate(cuts):
            server.kill()
            hits[cut.owner] += kill_at(server, cut, tmp_path / f"trace-{number}")
        server.wrapper = []
        server.start()
    assert_exactly_once(server, clients)
    assert sum(client.duplicates for client in clients) > 0
    return hits


@pytest.mark.soak
@pytest.mark.parametrize("call", ["fdatasync", "rename", "unlink", "write", "pwrite64", "openat", "mkdir", "close"])
def test_killed_at_every_call_of_an_insert(new_server: NewServer, tmp_path: Path, call: str) -> None:
    server = new_server(**SMALL)
    with sending(server, [1, 30, 200], SEED) as clients:
        for when in range(1, 60):
            server.kill()
            kill_at(server, Cut("engine", call, when), tmp_path / "trace")
        server.wrapper = []
        server.start()
    assert_exactly_once(server, clients)


@dataclass(frozen=True)
class Failure:
    """What fails, and how many batches hear of it. A segment is written as header, three batches, index."""

    cut: Cut
    error: str
    refused_batches: int


FAILURES = {
    "sync of a batch": Failure(Cut("log", "fdatasync", 8), "EIO", 1),
    "sync of a new segment": Failure(Cut("log", "fdatasync", 6), "EIO", 1),
    "sync of the directory": Failure(Cut("log", "fsync", 2), "EIO", 1),
    "sync of an index": Failure(Cut("log", "fdatasync", 5), "EIO", 0),
    "write of a batch": Failure(Cut("log", "writev", 7), "ENOSPC", 1),
    "write of an index": Failure(Cut("log", "writev", 10), "ENOSPC", 0),
}
_BATCH = 30


@pytest.mark.parametrize("name", FAILURES)
def test_a_failed_write_or_sync_is_a_503_and_a_hole(new_server: NewServer, tmp_path: Path, name: str) -> None:
    failure, trace = FAILURES[name], tmp_path / "trace"
    server = new_server(**(SMALL | HELD | {"LOGRIVER_SEGMENT_BYTES": "6000"}))
    server.kill()
    server.wrapper = failure.cut.wrapper(server.data, trace, f"error={failure.error}")
    server.start()
    with closing(Client(server, "c0", most=1, seed=0, stubborn=False)) as client:
        for number in range(12):
            client.send(_BATCH * number, _BATCH)
        server.kill()
        assert trace.read_text(errors="replace").count("(INJECTED)") == 1
        assert len(client.refused) == failure.refused_batches * _BATCH
        assert not client.wrong
    again = new_server(data=server.data, **SMALL)
    with closing(Client(again, "c1", most=1, seed=0)) as later:
        later.send(0, _BATCH)
    assert_exactly_once(again, [client, later])
    assert again.stop() == 0
    assert numbers_in_holes(server.data) == failure.refused_batches * _BATCH


def numbers_in_holes(data: Path) -> int:
    with closing(sqlite3.connect(data / "state.db")) as state:
        (count,) = state.execute("SELECT ifnull(sum(last_seq - first_seq + 1), 0) FROM skipped_ranges").fetchone()
    return int(count)


@pytest.mark.parametrize("failing", ["fdatasync:error=EIO:when=9+11", "writev:error=ENOSPC:when=9+11"])
def test_a_disk_that_fails_now_and_then_loses_and_doubles_nothing(
    new_server: NewServer, tmp_path: Path, failing: str
) -> None:
    server = new_server(**SMALL)
    server.kill()
    trace = tmp_path / "trace"
    server.wrapper = tracer(trace, failing.partition(":")[0], failing)
    server.start()
    with sending(server, [1, 30, 200], SEED) as clients:
        time.sleep(4)
        server.kill()
        server.wrapper = []
        server.start()
    assert trace.read_text(errors="replace").count("(INJECTED)") > 5
    assert_exactly_once(server, clients)


_LOG_WRITE = re.compile(r"^\d+ +writev\(\d+<\S+/log/(\d+)\.log>, (.*)")
_LOG_SYNC = re.compile(r"^(\d+) +fdatasync\(\d+<\S+/log/(\d+)\.log>(.*)")
_SYNCED = re.compile(r"^(\d+) +<\.\.\. fdatasync resumed>.* = 0$")
_ANSWER = re.compile(r"^\d+ +(?:write|writev|sendto|sendmsg)\(\d+<TCP:\[\S+->\S+:(\d+)\]>, .*HTTP/1\.1 200")
_MARKER = re.compile(r"mark-\d+-\d+-")


@dataclass
class TraceReader:
    """Follows a trace line by line: marked records that are written, those that are durable, and 200s by port."""

    written: dict[str, set[str]] = field(default_factory=dict)
    durable: set[str] = field(default_factory=set)
    syncing: dict[str, tuple[str, set[str]]] = field(default_factory=dict)
    answers: Counter[str] = field(default_factory=Counter)

    def read(self, line: str) -> str | None:
        """The marker of the record that this line answers for, if it is an answer."""
        if write := _LOG_WRITE.match(line):
            self.written.setdefault(write[1], set()).update(_MARKER.findall(write[2]))
        elif sync := _LOG_SYNC.match(line):
            # Only what was written when the sync began is covered by it.
            self.syncing[sync[1]] = (sync[2], set(self.written.get(sync[2], ())))
            if sync[3].endswith(" = 0"):
                self.durable |= self.syncing.pop(sync[1])[1]
        elif (synced := _SYNCED.match(line)) and synced[1] in self.syncing:
            self.durable |= self.syncing.pop(synced[1])[1]
        elif answer := _ANSWER.match(line):
            self.answers[answer[1]] += 1
            return f"mark-{answer[1]}-{self.answers[answer[1]] - 1}-"
        return None


def send_marked(server: RunningServer, count: int) -> None:
    """One record a request on one connection; each says the connection's port and its place there.

    Those without a key take the fast path, but for the first.
    """
    with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), timeout=60) as connection:
        port = connection.getsockname()[1]
        for number in range(count):
            content = f'{{"message":"mark-{port}-{number}-"}}'
            key = f"Idempotency-Key: {port}-{number}\r\n" if number % 2 else ""
            head = f"POST /api/v1/logs HTTP/1.1\r\nHost: 127.0.0.1\r\n{key}Content-Length: {len(content)}\r\n\r\n"
            connection.sendall((head + content).encode())
            answer = b""
            while not answer.endswith(b"}"):
                answer += connection.recv(65536)
            assert b'{"accepted":1,' in answer


def test_no_answer_leaves_before_the_sync_that_covers_its_record(new_server: NewServer, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    server = new_server(**SMALL)
    server.kill()
    server.wrapper = tracer(trace, "fdatasync,write,writev,sendto,sendmsg")
    server.start()
    threads = [threading.Thread(target=send_marked, args=(server, 30)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    server.kill()
    reader = TraceReader()
    early = []
    for line in trace.read_text(errors="replace").splitlines():
        marker = reader.read(line)
        if marker and marker not in reader.durable:
            early.append(line)
    assert early == []
    assert sum(reader.answers.values()) == 240


def test_what_a_killed_server_had_not_synced_is_synced_before_it_is_called_a_duplicate(
    new_server: NewServer, tmp_path: Path
) -> None:
    server = new_server(**HELD)
    server.kill()
    # The first sync is that of the header.
    server.wrapper = Cut("log", "fdatasync", 2).wrapper(server.data, tmp_path / "killed")
    server.start()
    client = httpx.Client()
    key = {"Idempotency-Key": "again"}
    with pytest.raises(httpx.TransportError):
        client.post(f"{server.url}/api/v1/logs", content=body("c0", 0, 5), headers=key)
    server.kill()
    server.wrapper = tracer(tmp_path / "trace", "fdatasync")
    server.start()
    answer = client.post(f"{server.url}/api/v1/logs", content=body("c0", 0, 5), headers=key)
    client.close()
    assert answer.json() == {"accepted": 5, "rejected": 0, "errors": [], "duplicate": True}
    synced = [line for line in (tmp_path / "trace").read_text().splitlines() if "/log/000000000001.log>) = 0" in line]
    assert len(synced) == 1
