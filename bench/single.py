"""One record per POST over 64 connections, each waiting for its answer: alone, and beside a bulk stream."""

from bench import client, usage
from bench.figures import Figure, Measurement, Values, Workload
from bench.server_process import ServerProcess

SECONDS = 10
_WARM_UP_SECONDS = 2

FIGURES = {
    "requests": Figure("alone", "requests/s", at_least=15_000),
    "p50": Figure("alone, p50", "ms", 2),
    "p99": Figure("alone, p99", "ms", 2, at_most=25),
    "slowest": Figure("alone, slowest", "ms", 1),
    "cpu": Figure("alone, CPU of the server", "us/request", 1),
    "cpu_client": Figure("alone, CPU of the client", "us/request", 1),
    "beside_requests": Figure("beside bulk", "requests/s"),
    "beside_p50": Figure("beside bulk, p50", "ms", 2),
    "beside_p99": Figure("beside bulk, p99", "ms", 2),
    "beside_bulk": Figure("the bulk stream beside it (1 connection, 4 MB)", "logs/s"),
    "failed": Figure("requests not answered 200", "", at_most=0),
}


def measure(workload: Workload) -> Values:
    """One run: warm-up, alone, beside bulk; every accepted record must be found at the end."""
    with ServerProcess(workload.folder) as server:
        target = (server.host, server.port, workload.logs)
        warm_up = client.run("single_client", *target, "--seconds", _WARM_UP_SECONDS)
        before = usage.cpu(server.pid)
        alone = client.run("single_client", *target, "--seconds", SECONDS)
        accepted = warm_up["accepted"] + alone["accepted"]
        server.wait_searchable(accepted)
        used = usage.cpu(server.pid).since(before)
        seconds = SECONDS + _WARM_UP_SECONDS
        with client.running("bulk_client", *target, "--connections", 1, "--seconds", seconds) as stream:
            beside = client.run("single_client", *target, "--seconds", SECONDS)
            bulk = client.finish(stream)
        server.wait_searchable(accepted + beside["accepted"] + bulk["accepted"])
    return {
        "requests": alone["accepted"] / alone["seconds"],
        "p50": alone["p50_ms"],
        "p99": alone["p99_ms"],
        "slowest": alone["slowest_ms"],
        "cpu": used.seconds / alone["accepted"] * 1e6,
        "cpu_client": alone["cpu_seconds"] / alone["accepted"] * 1e6,
        "beside_requests": beside["accepted"] / beside["seconds"],
        "beside_p50": beside["p50_ms"],
        "beside_p99": beside["p99_ms"],
        "beside_bulk": bulk["accepted"] / (bulk["ended"] - bulk["began"]),
        "failed": sum(alone["other_answers"].values()) + sum(beside["other_answers"].values()),
    }


MEASUREMENT = Measurement("single", "Single records, 64 keep-alive connections", FIGURES, measure)
