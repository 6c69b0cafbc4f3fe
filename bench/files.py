"""Searching a log file of 5 GB where it lies, in the page cache, beside `tac` piped to `grep`, and ripgrep.

The file is a part of the generated logs, again and again; 20 lines near its end have a word that no other line has.
The other programs write into a pipe that is read, as the server's answer is.
"""

import http.client
import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

from bench import usage
from bench.figures import Figure, Measurement, Values, Workload
from bench.server_process import ServerProcess

_BLOCK_BYTES = 50_000_000
_BLOCKS = 100
_TAIL_LINES = 500
_NEAR = "word-near-the-end"
_WANTED = 20
_ASKED = 20
_READ_BYTES = 1_000_000

# The patterns begin with what every line has: that is the harder case.
_SCANS = {
    "literal": ("no such line", False),
    "frequent": ("server-123", False),
    "regex": ('server-[0-9]+"[^}]*"spanId":"none', True),
}

COLUMNS = ("logriver", "tac+grep", "rg")
FIGURES = {
    "first": Figure(f"last {_WANTED} matching lines, near the end: to the first byte", "ms", 1, at_most=20),
    "literal": Figure("whole file, a literal that no line has", "GB/s", 2, at_least=1),
    "frequent": Figure("whole file, a literal that one line of hundreds has", "GB/s", 2),
    "regex": Figure("whole file, a regular expression that no line matches", "GB/s", 2, at_least=0.2),
    "ratio": Figure("the first literal, times as fast as tac+grep", "", 2, at_least=1),
    "memory": Figure("memory of the server for it, resident", "MB", 1),
}


def measure(workload: Workload) -> Values:
    """One run."""
    folder = workload.folder / "files"
    folder.mkdir()
    path = folder / "big.log"
    try:
        _make(workload.logs, path)
        with ServerProcess(workload.folder, environment={"LOGRIVER_FILES_ROOT": str(folder)}) as server:
            return _measured(server, path)
    finally:
        shutil.rmtree(folder)


def _measured(server: ServerProcess, path: Path) -> Values:
    near = {"filename": path.name, "keyword": _NEAR, "n": str(_WANTED)}
    values: Values = {"first": _first_ms(lambda: _ask(server, near))}
    values["first tac+grep"] = _first_ms(lambda: _run(f"tac {path} | grep -F -m {_WANTED} {_NEAR}"))
    before = usage.memory(server.pid).resident
    for key, (keyword, regex) in _SCANS.items():
        values |= _scan(server, path, key, keyword, regex)
    values["memory"] = max(0, usage.memory(server.pid).resident - before) / 1e6
    values["ratio"] = values["literal"] / values["literal tac+grep"]
    return values


def _scan(server: ServerProcess, path: Path, key: str, keyword: str, regex: bool) -> Values:
    """GB/s of looking through the whole file. A program that the machine does not have is left out."""
    asked = {"filename": path.name, "keyword": keyword, "regex": str(regex).lower()}
    values = {
        key: _speed(path, lambda: _ask(server, asked)),
        f"{key} tac+grep": _speed(path, lambda: _run(f"tac {path} | grep {'-E' if regex else '-F'} '{keyword}'")),
    }
    if shutil.which("rg"):
        values[f"{key} rg"] = _speed(path, lambda: _run(f"rg {'' if regex else '-F'} '{keyword}' {path}"))
    return values


def _make(logs: Path, path: Path) -> None:
    """The file, read once so that it is in the page cache."""
    with logs.open("rb") as source:
        block = source.read(_BLOCK_BYTES)
    block = block[: block.rindex(b"\n") + 1]
    line = block[: block.index(b"\n") + 1]
    with path.open("wb") as file:
        for _ in range(_BLOCKS):
            file.write(block)
        for number in range(_WANTED):
            file.write(line.replace(b"\n", b" %s %d\n" % (_NEAR.encode(), number)))
        file.write(line * _TAIL_LINES)
    _run(f"cat {path}")


def _first_ms(ask: Callable[[], float]) -> float:
    return statistics.median(ask() for _ in range(_ASKED)) * 1000


def _speed(path: Path, search: Callable[[], float]) -> float:
    """GB/s of a search that reads the whole file."""
    began = time.perf_counter()
    search()
    return path.stat().st_size / 1e9 / (time.perf_counter() - began)


def _ask(server: ServerProcess, asked: dict[str, str]) -> float:
    """Seconds to the first byte of an answer, which is read to its end."""
    connection = http.client.HTTPConnection(server.host, server.port, timeout=300)
    began = time.perf_counter()
    connection.request("GET", f"/logs?{urlencode(asked)}")
    answer = connection.getresponse()
    if answer.status != http.client.OK:
        raise RuntimeError(f"status {answer.status}: {answer.read(300)!r}")
    answer.read(1)
    first_seconds = time.perf_counter() - began
    while answer.read(_READ_BYTES):
        pass
    connection.close()
    return first_seconds


def _run(command: str) -> float:
    """The same of a shell command. Its letters are bytes, which is how grep is fastest."""
    began = time.perf_counter()
    environment = {**os.environ, "LC_ALL": "C"}
    pipe, quiet = subprocess.PIPE, subprocess.DEVNULL
    with subprocess.Popen(["sh", "-c", command], stdout=pipe, stderr=quiet, env=environment, bufsize=0) as process:
        assert process.stdout is not None
        process.stdout.read(1)
        first_seconds = time.perf_counter() - began
        while process.stdout.read(_READ_BYTES):
            pass
    return first_seconds


MEASUREMENT = Measurement("files", "Searching a file of 5 GB where it lies", FIGURES, measure, COLUMNS)
