"""Bulk NDJSON over 4 connections in bodies of 4 MB: speed, CPU, memory, disk, on a fresh server."""

import time
from pathlib import Path

from bench import client, usage
from bench.figures import Figure, Measurement, Values, Workload
from bench.server_process import ServerProcess

IDLE_SECONDS = 30
_SETTLE_SECONDS = 120
_STEADY_LOOKS = 5
_MB = 1_000_000

FIGURES = {
    "durable": Figure("until durable (last 200)", "logs/s"),
    "searchable": Figure("until searchable", "logs/s", at_least=200_000),
    "cpu": Figure("CPU until searchable, with the merges that ran meanwhile", "us/log", 2),
    "cpu_without_merges": Figure("CPU until searchable, without merges", "us/log", 2, at_most=8),
    "cpu_merges_later": Figure("CPU of all merges until they settled", "us/log", 2),
    "cpu_client": Figure("CPU of the client, apart", "us/log", 2),
    "turned_away": Figure("bodies answered 429 or 503 and sent again", ""),
    "peak": Figure("memory, resident at peak", "MB", at_most=800),
    "peak_anonymous": Figure("memory, anonymous at peak", "MB"),
    "idle": Figure(f"memory, resident {IDLE_SECONDS} s later", "MB", at_most=400),
    "idle_anonymous": Figure(f"memory, anonymous {IDLE_SECONDS} s later", "MB"),
    "raw": Figure("raw bytes sent", "MB", 1),
    "disk": Figure("on disk after merges, the whole data directory", "MB", 1),
    "disk_store": Figure("on disk after merges, the table with its indexes", "MB", 1),
    "disk_share": Figure("table with indexes against raw", "", 3, at_most=0.25),
}


def measure(workload: Workload) -> Values:
    """One run."""
    with ServerProcess(workload.folder) as server:
        before = usage.cpu(server.pid)
        with usage.MemoryWatch(server.pid) as watch:
            pushed = client.run("bulk_client", server.host, server.port, workload.logs)
            searchable_at = server.wait_searchable(workload.count)
        used, peak = usage.cpu(server.pid).since(before), usage.memory(server.pid).peak
        time.sleep(IDLE_SECONDS)
        idle = usage.memory(server.pid)
        wait_for_merges(server)
        merges = usage.cpu(server.pid).since(before).merge_seconds
        disk, store = usage.directory_bytes(server.data), usage.directory_bytes(server.data / "store")
        server.wait_searchable(workload.count)
    raw = workload.logs.stat().st_size
    return {
        "durable": workload.count / (pushed["ended"] - pushed["began"]),
        "searchable": workload.count / (searchable_at - pushed["began"]),
        "cpu": used.seconds / workload.count * 1e6,
        "cpu_without_merges": (used.seconds - used.merge_seconds) / workload.count * 1e6,
        "cpu_merges_later": merges / workload.count * 1e6,
        "cpu_client": pushed["cpu_seconds"] / workload.count * 1e6,
        "turned_away": pushed["turned_away"],
        "peak": peak / _MB,
        "peak_anonymous": watch.peak_anonymous / _MB,
        "idle": idle.resident / _MB,
        "idle_anonymous": idle.anonymous / _MB,
        "raw": raw / _MB,
        "disk": disk / _MB,
        "disk_store": store / _MB,
        "disk_share": store / raw,
    }


def wait_for_merges(server: ServerProcess) -> None:
    """Until neither the merges' CPU nor the size of the store has changed for some seconds."""
    deadline = time.monotonic() + _SETTLE_SECONDS
    last, steady = (0.0, 0), 0
    while steady < _STEADY_LOOKS and time.monotonic() < deadline:
        look = usage.cpu(server.pid).merge_seconds, _store_bytes(server.data)
        steady = steady + 1 if look == last else 0
        last = look
        time.sleep(1)


def _store_bytes(data: Path) -> int:
    return usage.directory_bytes(data / "store")


MEASUREMENT = Measurement("bulk", "Bulk NDJSON, 4 connections, bodies of 4 MB", FIGURES, measure)
