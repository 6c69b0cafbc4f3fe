"""An agent that catches up with a file: lines of text, and JSON lines, into a server on the same machine.

The agent starts where the file is whole. The time runs from its first words until the server holds every line, and
until every line can be searched.
"""

import subprocess
import sys
import time
from pathlib import Path

import msgspec

from bench import usage
from bench.data import first_lines
from bench.figures import Figure, Measurement, Values, Workload
from bench.server_process import STOP_SECONDS, ServerProcess

_MOST_LINES = 1_000_000

_AT_LEAST, _AT_MOST_MB = 100_000, 100
COLUMNS = ("text", "JSON")
FIGURES = {
    "held": Figure("until durable", "lines/s", at_least=_AT_LEAST),
    "searchable": Figure("until searchable", "lines/s"),
    "cpu": Figure("CPU of the agent", "us/line", 2),
    "cpu_server": Figure("CPU of the server, with the merges that ran meanwhile", "us/line", 2),
    "memory": Figure("memory of the agent, resident at peak", "MB", at_most=_AT_MOST_MB),
    "bytes": Figure("bytes of a line", "", 0),
}


class _Record(msgspec.Struct):
    timestamp: str
    level: str
    resourceId: str  # noqa: N815 -- as it is sent
    message: str


def measure(workload: Workload) -> Values:
    """One run."""
    lines = first_lines(workload.logs, min(workload.count, _MOST_LINES))
    values = _measured(workload.folder, [_text(line) for line in lines])
    return values | {f"{key} JSON": value for key, value in _measured(workload.folder, lines).items()}


def _text(line: bytes) -> bytes:
    record = msgspec.json.decode(line, type=_Record)
    return f"{record.timestamp} {record.level.upper()} [{record.resourceId}] {record.message}".encode()


def _measured(folder: Path, lines: list[bytes]) -> Values:
    path = folder / "followed.log"
    path.write_bytes(b"\n".join([*lines, b""]))
    try:
        with ServerProcess(folder) as server:
            before = usage.cpu(server.pid)
            command = [sys.executable, "-m", "logriver", "agent", "--server", f"http://{server.host}:{server.port}"]
            with subprocess.Popen([*command, str(path)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as agent:
                try:
                    assert agent.stdout is not None
                    agent.stdout.readline()
                    began = time.monotonic()
                    held_at = _wait_held(server, len(lines))
                    searchable_at = server.wait_searchable(len(lines))
                    agent_used, peak = usage.cpu(agent.pid).seconds, usage.memory(agent.pid).peak
                finally:
                    agent.terminate()
                    agent.wait(STOP_SECONDS)
            used = usage.cpu(server.pid).since(before).seconds
    finally:
        path.unlink()
    return {
        "held": len(lines) / (held_at - began),
        "searchable": len(lines) / (searchable_at - began),
        "cpu": agent_used / len(lines) * 1e6,
        "cpu_server": used / len(lines) * 1e6,
        "memory": peak / 1e6,
        "bytes": sum(map(len, lines)) / len(lines) + 1,
    }


def _wait_held(server: ServerProcess, count: int) -> float:
    """The monotonic time at which the server had acknowledged so many lines."""
    while True:
        status = server.status()
        if status["stored"] + status["waiting"] >= count:
            return time.monotonic()
        # Each look costs the server a query.
        time.sleep(0.25)


MEASUREMENT = Measurement("agent", "An agent catches up with a file", FIGURES, measure, COLUMNS)
