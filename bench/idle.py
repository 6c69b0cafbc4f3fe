"""10,000 connections that are open and do nothing: what they cost, and whether the server still answers."""

import time

from bench import client, usage
from bench.figures import Figure, Measurement, Values, Workload
from bench.server_process import ServerProcess

CONNECTIONS = 10_000
_WARM_UP_SECONDS = 2
_SETTLE_SECONDS = 2

FIGURES = {
    "open_seconds": Figure(f"time to open {CONNECTIONS:,} connections, each answered once", "s", 1),
    "resident": Figure("memory per connection, resident", "kB", 1),
    "anonymous": Figure("memory per connection, anonymous", "kB", 1),
    "cpu": Figure("CPU of the server with them open", "% of a core", 1),
    "p50": Figure("single POST beside them, p50", "ms", 2),
    "p99": Figure("single POST beside them, p99", "ms", 2),
    "open": Figure("connections still open at the end", ""),
}


def measure(workload: Workload) -> Values:
    """One run."""
    with ServerProcess(workload.folder) as server:
        target = (server.host, server.port, workload.logs)
        warm_up = client.run("single_client", *target, "--seconds", _WARM_UP_SECONDS)
        server.wait_searchable(warm_up["accepted"])
        before, began = usage.memory(server.pid), time.monotonic()
        with client.running("idle_client", *target, "--connections", CONNECTIONS) as process:
            assert process.stdout is not None
            opened = process.stdout.readline().strip() == "open"
            open_seconds = time.monotonic() - began
            after, cpu_before = usage.memory(server.pid), usage.cpu(server.pid)
            time.sleep(_SETTLE_SECONDS if opened else 0)
            idle_cpu = usage.cpu(server.pid).since(cpu_before).seconds
            posted = client.finish(process, "go\n")
        server.wait_searchable(warm_up["accepted"] + posted["posts"])
    return {
        "open_seconds": open_seconds,
        "resident": (after.resident - before.resident) / CONNECTIONS / 1000,
        "anonymous": (after.anonymous - before.anonymous) / CONNECTIONS / 1000,
        "cpu": idle_cpu / _SETTLE_SECONDS * 100,
        "p50": posted["p50_ms"],
        "p99": posted["p99_ms"],
        "open": posted["open"],
    }


MEASUREMENT = Measurement("idle", f"{CONNECTIONS:,} idle connections", FIGURES, measure)
