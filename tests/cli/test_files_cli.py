"""`logriver files` against a running server: a filter like others."""

import gzip
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.conftest import RunningServer


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("files_cli")
    root = folder / "root"
    (root / "sub").mkdir(parents=True)
    (root / "app.log").write_bytes(b"2026-01-02T03:04:05Z one\n  at x\n2026-01-02T04:04:05Z Two \xff \x1b[2J\n")
    (root / "old.gz").write_bytes(gzip.compress(b"old\n"))
    (root / "big.log").write_bytes(b"a line\n" * 1_000_000)
    running = RunningServer(folder / "data", "--files-root", str(root))
    yield running
    assert running.stop() == 0


def command(files: RunningServer, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "logriver", "files", *arguments, "--server", files.url]


def run(files: RunningServer, *arguments: str) -> tuple[int, bytes, str]:
    ran = subprocess.run(command(files, *arguments), capture_output=True, check=False)
    return ran.returncode, ran.stdout, ran.stderr.decode()


def test_search_gives_the_bytes_newest_first(files: RunningServer) -> None:
    code, out, _ = run(files, "search", "app.log")
    assert (code, out) == (0, b"2026-01-02T04:04:05Z Two \xff \x1b[2J\n  at x\n2026-01-02T03:04:05Z one\n")


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["app.log", "one"], b"2026-01-02T03:04:05Z one\n"),
        (["app.log", "ON.\n  AT", "-i", "-E", "--multiline"], b"2026-01-02T03:04:05Z one\n  at x\n"),
        (["app.log", "--until", "2026-01-02T04:00:00Z", "-n", "1"], b"  at x\n"),
        (["app.log", "--since", "2026-01-02T04:00:00Z"], b"2026-01-02T04:04:05Z Two \xff \x1b[2J\n"),
    ],
)
def test_what_can_be_asked(files: RunningServer, arguments: list[str], found: bytes) -> None:
    assert run(files, "search", *arguments) == (0, found, "")


def test_exit_codes_are_those_of_grep(files: RunningServer) -> None:
    assert run(files, "search", "app.log", "nowhere")[:2] == (1, b"")
    for arguments, message in (
        (["search", "missing.log"], "there is no 'missing.log'"),
        (["search", "app.log", "(", "--regex"], "not a regular expression"),
        (["search"], "needs the name of a file"),
        (["ls", "--agent", "nobody"], "unknown host"),
        (["ls", "--agent", "*"], "one directory of one machine"),
    ):
        code, out, err = run(files, *arguments)
        assert (code, out) == (2, b"")
        assert message in " ".join(err.replace("│", " ").split())


def test_nobody_reads_on(files: RunningServer) -> None:
    """`logriver files search big.log | head -1`: silent, ended by SIGPIPE."""
    with subprocess.Popen(command(files, "search", "big.log"), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as ran:
        assert ran.stdout is not None
        assert ran.stderr is not None
        assert ran.stdout.readline() == b"a line\n"
        ran.stdout.close()
        assert ran.wait(30) == -13
        assert ran.stderr.read() == b""


def test_a_terminal_obeys_no_line(files: RunningServer) -> None:
    primary, secondary = pty.openpty()
    with subprocess.Popen(command(files, "search", "app.log", "Two"), stdout=secondary, close_fds=True) as ran:
        ran.wait(30)
    shown = os.read(primary, 10_000)
    os.close(primary)
    os.close(secondary)
    assert shown == b"2026-01-02T04:04:05Z Two \\xff \\x1b[2J\r\n"


def test_a_listing(files: RunningServer) -> None:
    code, out, _ = run(files, "ls")
    lines = [line.split("\t") for line in out.decode().splitlines()]
    assert (code, lines[0]) == (0, ["type", "size", "modified", "name"])
    assert [(line[0], line[3]) for line in lines[1:]] == [
        ("file", "app.log"),
        ("file", "big.log"),
        ("file", "old.gz"),
        ("directory", "sub"),
    ]
    code, out, _ = run(files, "ls", "app.log", "-o", "json")
    (entry,) = msgspec.json.decode(out)
    assert (entry["name"], entry["size"]) == ("app.log", Path(files.data.parent / "root" / "app.log").stat().st_size)
    assert run(files, "ls", "sub")[0] == 0
