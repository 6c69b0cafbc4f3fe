"""Commands as a user calls them: real processes, against a small HTTP server that records what they send."""

import bz2
import gzip
import json
import lzma
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from logriver import __version__, clock
from logriver.cli.pipe import MAX_LINE_BYTES, Pipe
from tests.cpu_time import within_cpu_time

CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("LOGRIVER_", "LOG_", "MAX_LOGS"))}
CLEAN |= {"COLUMNS": "120", "TZ": "Asia/Tokyo"}


def logriver(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "logriver", *arguments],
        env=CLEAN,
        input=stdin,
        capture_output=True,
        timeout=60,
        check=False,
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


class Peer(ThreadingHTTPServer):
    """Takes batches and answers searches by the contract; `script` are statuses to answer first."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.script: list[tuple[int, str]] = []
        self.batches: list[tuple[str, bytes, float]] = []
        self.searches: list[str] = []
        self.rows: list[dict[str, object]] = []
        self.search_error: dict[str, object] | None = None

    def stored(self) -> list[dict[str, object]]:
        """The records of each key once."""
        once = {key: body for key, body, _ in self.batches}
        return [json.loads(line) for body in once.values() for line in body.splitlines()]


class Handler(BaseHTTPRequestHandler):
    server: Peer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's output readable."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.batches.append((self.headers["Idempotency-Key"], body, time.monotonic()))
        if self.server.script:
            status, retry_after = self.server.script.pop(0)
            self.answer(status, {"error": {"code": "x", "message": "come back later"}}, retry_after)
            return
        lines = body.splitlines()
        bad = [number for number, line in enumerate(lines, 1) if b"poison" in line]
        errors = [{"line": number, "reason": "is poison"} for number in bad]
        counts = {"accepted": len(lines) - len(bad), "rejected": len(bad), "errors": errors, "duplicate": False}
        self.answer(400 if len(bad) == len(lines) else 200, counts)

    def do_GET(self) -> None:
        self.server.searches.append(self.path)
        if self.server.search_error:
            self.answer(400, {"error": self.server.search_error})
        else:
            self.answer(200, {"rows": self.server.rows, "cursor": None, "hint": None, "stats": {}})

    def answer(self, status: int, content: object, retry_after: str = "") -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if retry_after:
            self.send_header("Retry-After", retry_after)
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def peer() -> Iterator[Peer]:
    server = Peer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def test_version() -> None:
    assert logriver("--version").stdout == f"logriver {__version__}\n"


def test_help_names_every_command_and_loads_neither_engine_nor_settings() -> None:
    program = (
        "import sys; sys.argv = ['logriver', '--help']\n"
        "import logriver.cli\n"
        "try: logriver.cli.main()\n"
        "finally: print('loaded', {'chdb', 'httpx', 'pydantic', 'fastapi'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], env=CLEAN, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    for command in ("serve", "send", "search", "tail", "sql", "generate", "demo"):
        assert f" {command} " in done.stdout
    assert done.stdout.endswith("loaded set()\n")


@pytest.mark.parametrize("command", ["serve", "send", "search", "tail", "sql", "generate", "demo"])
def test_every_command_has_help(command: str) -> None:
    done = logriver(command, "--help")
    assert done.returncode == 0
    assert f"logriver {command}" in done.stdout


@pytest.mark.parametrize("text", ["-level:info", '-"not found"', "-(a OR b)", "-timeout"])
def test_a_text_like_options_is_told_where_to_stand(text: str) -> None:
    done = logriver("search", text)
    assert done.returncode == 2
    said = " ".join(done.stderr.replace("│", " ").split())
    assert f"behind --: logriver search -- {shlex.quote(text)}" in said
    assert "no answer" in logriver("search", "--server", "http://127.0.0.1:1", "--", text).stderr
    for others in (["-A5x"], ["-rf", "--nope"], ["-nall", "a", "b"], ["--token", "-zSecret", "-z"]):
        assert "behind" not in logriver("search", *others).stderr


def test_unknown_command_is_a_usage_error() -> None:
    done = logriver("sarch", "x")
    assert done.returncode == 2
    assert "search" in done.stderr


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("lisen = '127.0.0.1:3000'", "unknown setting 'lisen', did you mean 'listen'?"),
        # With so little nothing could be stored.
        ("max_memory_bytes = 200_000_000", "'max_memory_bytes': expected 0 or at least 400000000 bytes"),
    ],
)
def test_serve_names_a_wrong_setting(tmp_path: Path, written: str, reason: str) -> None:
    config = tmp_path / "logriver.toml"
    config.write_text(f"{written}\n")
    done = logriver("serve", "--config", str(config), "--data", str(tmp_path / "data"))
    assert done.returncode == 2
    assert reason in done.stderr


@pytest.mark.parametrize("command", ["serve", "agent", "doctor"])
def test_a_config_file_that_is_not_there_is_not_passed_over(tmp_path: Path, command: str) -> None:
    for config, reason in ((tmp_path / "no.toml", "is not there"), (tmp_path, "is no file")):
        done = logriver(command, "--config", str(config))
        assert done.returncode == 2
        assert f"config file '{config}' {reason}" in done.stderr


@pytest.mark.parametrize(
    ("flag", "value", "reason"),
    [
        ("--retention", "5x", "setting 'retention': expected a number and one of s m h d w y, or forever, got '5x'"),
        ("--max-disk", "200%", "setting 'max_disk': expected a size like 10GB or a share like 80%, got '200%'"),
    ],
)
def test_a_wrong_value_is_told_in_our_words(tmp_path: Path, flag: str, value: str, reason: str) -> None:
    done = logriver("serve", flag, value, "--data", str(tmp_path / "data"))
    assert done.returncode == 2
    assert done.stderr == f"error: {reason}\n"


def test_a_wrong_token_setting_is_not_shown(tmp_path: Path) -> None:
    config = tmp_path / "logriver.toml"
    config.write_text("token = 1234567\n")
    done = logriver("serve", "--config", str(config), "--data", str(tmp_path / "data"))
    assert done.returncode == 2
    assert "'token'" in done.stderr
    assert "1234567" not in done.stderr


def test_send_takes_lines_and_objects_as_they_are(peer: Peer) -> None:
    lines = b'plain text\r\n\n{"message":"a","n":1.50}\n  {"service":"own","message":"b"}\n{broken\n[1]\nlast'
    done = logriver("send", "--server", peer.url, "--service", "web", stdin=lines)
    assert (done.returncode, done.stderr) == (0, "accepted 6, rejected 0\n")
    ((_, body, _),) = peer.batches
    documents = body.splitlines()
    assert documents[1:3] == [b'{"service":"web","message":"a","n":1.50}', b'  {"service":"own","message":"b"}']
    texts = [json.loads(document) for document in (documents[0], *documents[3:])]
    assert [text["message"] for text in texts] == ["plain text", "{broken", "[1]", "last"]
    # Without a time of their own they get the server's, as objects do, and stay in their order.
    assert all(text == {"message": text["message"], "service": "web"} for text in texts)


def test_send_reads_times_and_levels_of_lines(peer: Peer, tmp_path: Path) -> None:
    file = tmp_path / "x.log"
    file.write_bytes(b"\xef\xbb\xbf2024-09-14 16:15:35,123 ERROR disk full\n")
    done = logriver("send", str(file), "--zone", "+02:00", "--server", peer.url)
    assert (done.returncode, done.stderr) == (0, "accepted 1, rejected 0\n")
    assert peer.stored() == [
        {
            "timestamp": "2024-09-14T14:15:35.123Z",
            "level": "ERROR",
            "message": "2024-09-14 16:15:35,123 ERROR disk full",
        }
    ]
    wrong = logriver("send", str(file), "--zone", "Mars/Olympus", "--server", peer.url)
    assert wrong.returncode == 2
    assert "error: unknown time zone 'Mars/Olympus'" in wrong.stderr


def test_send_reports_what_was_rejected_under_the_line_of_the_input(peer: Peer, tmp_path: Path) -> None:
    (tmp_path / "x.log").write_bytes(b"good\n\npoison\ngood\n")
    done = logriver("send", str(tmp_path / "x.log"), "--server", peer.url)
    assert done.returncode == 1
    assert done.stderr == "line 3: is poison\naccepted 2, rejected 1\n"
    alone = logriver("send", "--server", peer.url, stdin=b"poison\n")
    assert (alone.returncode, alone.stderr) == (1, "line 1: is poison\naccepted 0, rejected 1\n")


def test_send_refuses_what_is_not_utf_8_throughout(peer: Peer, tmp_path: Path) -> None:
    file = tmp_path / "windows.log"
    file.write_text("first\nsecond\n", encoding="utf-16")
    done = logriver("send", str(file), "--server", peer.url)
    assert (done.returncode, peer.batches) == (1, [])
    assert "error: the input is UTF-16: send what 'iconv -f UTF-16 -t UTF-8' makes of it" in done.stderr


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, zstandard.compress, lzma.compress])
def test_send_takes_what_is_compressed_in_a_file(
    peer: Peer, tmp_path: Path, compress: Callable[[bytes], bytes]
) -> None:
    file = tmp_path / "x.log.1"
    file.write_bytes(compress(b"first\nsecond\n"))
    done = logriver("send", str(file), "--server", peer.url)
    assert (done.returncode, done.stderr) == (0, "accepted 2, rejected 0\n")
    assert [record["message"] for record in peer.stored()] == ["first", "second"]
    piped = logriver("send", "--server", peer.url, stdin=file.read_bytes())
    assert piped.returncode == 1
    assert piped.stderr.startswith("accepted 0, rejected 0\nerror: the input is compressed: ")
    file.write_bytes(compress(b"first\nsecond\n" * 1000)[:-9])
    broken = logriver("send", str(file), "--server", peer.url)
    assert broken.returncode == 1
    assert f"error: '{file}' cannot be read: the file cannot be decompressed" in broken.stderr
    assert len(peer.batches) == 1


def test_send_repeats_an_overloaded_batch_under_the_same_key(peer: Peer) -> None:
    peer.script = [(429, "1"), (503, "")]
    done = logriver("send", "--server", peer.url, stdin=b"a\nb\n")
    assert (done.returncode, done.stderr) == (0, "accepted 2, rejected 0\n")
    keys = {key for key, _, _ in peer.batches}
    assert len(peer.batches) == 3
    assert len(keys) == 1
    assert peer.batches[1][2] - peer.batches[0][2] >= 1.0


def test_send_cuts_batches_by_size_with_a_key_each(peer: Peer) -> None:
    lines = [b'{"n":%d,"message":"%s"}' % (number, b"x" * 1000) for number in range(5000)]
    done = logriver("send", "--server", peer.url, stdin=b"\n".join(lines))
    assert done.stderr == "accepted 5000, rejected 0\n"
    assert [record["n"] for record in peer.stored()] == list(range(5000))
    assert len({key for key, _, _ in peer.batches}) == len(peer.batches) >= 3
    assert max(len(body) for _, body, _ in peer.batches) < 3_000_000


def test_send_gives_up_after_a_while_and_says_so() -> None:
    done = logriver("send", "--server", f"http://127.0.0.1:{closed_port()}", "--retry-for", "300ms", stdin=b"a\n")
    assert done.returncode == 1
    assert "accepted 0, rejected 0" in done.stderr
    assert "nothing is confirmed from line 1 on" in done.stderr


def test_send_says_that_it_waits_and_ends_when_it_is_asked_to() -> None:
    server = f"http://127.0.0.1:{closed_port()}"
    command = [sys.executable, "-m", "logriver", "send", "--server", server]
    with subprocess.Popen(command, env=CLEAN, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as sending:
        assert sending.stdin
        assert sending.stderr
        sending.stdin.write(b"a\n")
        sending.stdin.close()
        said = sending.stderr.readline().decode()
        assert said.startswith(f"'{server}' does not take it yet: ")
        sending.send_signal(signal.SIGTERM)
        asked = time.monotonic()
        rest = sending.stderr.read().decode()
    assert sending.returncode == 1
    assert time.monotonic() - asked < 15
    assert "nothing is confirmed from line 1 on" in rest


def test_send_streams_and_flushes_on_ctrl_c(peer: Peer) -> None:
    command = [sys.executable, "-m", "logriver", "send", "--server", peer.url]
    with subprocess.Popen(command, env=CLEAN, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as sending:
        assert sending.stdin
        sending.stdin.write(b"first\nsec")
        sending.stdin.flush()
        give_up_at = time.monotonic() + 20
        while not peer.batches and time.monotonic() < give_up_at:
            time.sleep(0.02)
        assert [record["message"] for record in peer.stored()] == ["first"]
        sending.stdin.write(b"ond\nthird")
        sending.stdin.flush()
        sending.send_signal(signal.SIGINT)
        _, said = sending.communicate(timeout=20)
    assert sending.returncode == 0
    assert said == b"accepted 3, rejected 0\n"
    assert [record["message"] for record in peer.stored()] == ["first", "second", "third"]


def test_generate_counts_exactly_what_a_server_accepted(peer: Peer) -> None:
    peer.script = [(503, "")]
    done = logriver("generate", "--format", "api_requests", "--count", "4500", "--server", peer.url)
    assert (done.returncode, done.stderr) == (0, "accepted 4500, rejected 0\n")
    assert len(peer.stored()) == 4500
    assert len(peer.batches) == 4


@pytest.mark.parametrize("to_file", [False, True])
def test_the_own_log_is_json_lines(to_file: bool, tmp_path: Path) -> None:
    file = tmp_path / "own.log"
    program = (
        "import logging, sys; from pathlib import Path; from logriver.telemetry import internal_log\n"
        "internal_log.setup(Path(sys.argv[1]) if sys.argv[1:] else None)\n"
        "log = logging.getLogger('logriver.x')\n"
        "log.debug('hidden'); logging.getLogger('uvicorn.access').warning('hidden')\n"
        "log.warning('slow %s', 'disk', extra={'fields': {'path': Path('/x'), 'seconds': 1.5, 'level': 'no'}})\n"
        "try: 1 / 0\n"
        "except ZeroDivisionError: log.exception('failed')\n"
    )
    command = [sys.executable, "-c", program, *([str(file)] if to_file else [])]
    done = subprocess.run(command, env=CLEAN, capture_output=True, text=True, check=True)
    written = file.read_text() if to_file else done.stderr
    assert (done.stderr == "") is to_file
    slow, failed = map(json.loads, written.splitlines())
    assert clock.from_text(slow.pop("time")) <= clock.now_ns()
    assert slow == {"level": "warn", "logger": "logriver.x", "message": "slow disk", "path": "/x", "seconds": 1.5}
    assert failed["level"] == "error"
    assert "ZeroDivisionError" in failed["exception"]


def test_serve_says_when_its_log_cannot_be_written(tmp_path: Path) -> None:
    done = logriver("serve", "--data", str(tmp_path / "data"), "--log-file", str(tmp_path / "no" / "x.log"))
    assert done.returncode == 2
    assert "cannot be written: No such file or directory" in done.stderr


ROW = {
    "timestamp": "2024-09-14T16:15:35.123Z",
    "level": "error",
    "message": "lost \x1b[31m[bold]connection",
    "service": "web",
    "_id": "a1",
    "status": 500,
}


def test_search_prints_newest_last_and_answers_as_grep(peer: Peer) -> None:
    peer.rows = [ROW, ROW | {"timestamp": "2024-09-14T16:15:34Z", "message": "older"}]
    done = logriver("search", "a b", "--since", "1h", "--until", "now", "-n", "2", "--utc", "--server", peer.url)
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "2024-09-14 16:15:34.000Z ERROR web older status=500",
        r"2024-09-14 16:15:35.123Z ERROR web lost \x1b[31m[bold]connection status=500",
    ]
    assert peer.searches == ["/api/v1/search?q=a+b&from=1h&to=now&limit=2"]
    reversed_local = logriver("search", "a b", "-r", "--server", peer.url)
    assert reversed_local.stdout.splitlines()[1] == "2024-09-15 01:15:34.000 ERROR web older status=500"


@pytest.mark.parametrize("format", ["json", "ndjson"])
def test_search_gives_documents_as_they_came(peer: Peer, format: str) -> None:
    peer.rows = [ROW, ROW | {"n": 2}]
    printed = logriver("search", "x", "-o", format, "--server", peer.url).stdout
    rows = json.loads(printed) if format == "json" else [json.loads(line) for line in printed.splitlines()]
    assert rows == peer.rows[::-1]


def test_search_that_finds_nothing_is_1_and_an_error_is_2(peer: Peer) -> None:
    nothing = logriver("search", "x", "--server", peer.url)
    assert (nothing.returncode, nothing.stdout) == (1, "")
    peer.search_error = {"code": "bad_query", "message": "quote is not closed", "position": 6, "hint": "close it"}
    wrong = logriver("search", 'level "x', "--server", peer.url)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr == '  level "x\n        ^\nerror: quote is not closed\nhint: close it\n'
    away = logriver("search", "x", "--server", f"http://127.0.0.1:{closed_port()}")
    assert away.returncode == 2
    assert "no answer from" in away.stderr


def split(pieces: list[bytes], max_bytes: int = 1 << 20) -> tuple[list[bytes], list[int], list[int]]:
    """What `Pipe` makes of pieces written one after the other."""
    reading, writing = os.pipe()

    def write() -> None:
        for piece in pieces:
            view = memoryview(piece)
            while view:
                view = view[os.write(writing, view) :]
        os.close(writing)

    thread = threading.Thread(target=write)
    thread.start()
    batches = list(Pipe(reading, max_bytes, 0.01).batches(threading.Event()))
    thread.join()
    os.close(reading)
    texts = [text for batch in batches for text in batch.texts]
    numbers = [number for batch in batches for number in batch.numbers]
    return texts, numbers, [number for batch in batches for number in batch.too_long]


@given(st.lists(st.binary(max_size=12) | st.sampled_from([b"\n", b"\r\n", b"a\nb"]), max_size=12), st.integers(1, 40))
@within_cpu_time
def test_lines_do_not_depend_on_how_they_arrive(pieces: list[bytes], max_bytes: int) -> None:
    lines = [line.rstrip(b"\r") for line in b"".join(pieces).split(b"\n")]
    expected = [(line, number) for number, line in enumerate(lines, 1) if line]
    texts, numbers, too_long = split(pieces, max_bytes)
    assert list(zip(texts, numbers, strict=True)) == expected
    assert too_long == []


def test_a_line_beyond_the_limit_is_named_and_the_next_one_kept() -> None:
    texts, numbers, too_long = split([b"a\n", b"x" * (MAX_LINE_BYTES + 1), b"y\nb"])
    assert (texts, numbers, too_long) == ([b"a", b"b"], [1, 3], [2])
