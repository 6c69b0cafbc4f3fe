"""Queries on 10 M logs through HTTP: the first and the warm ones, with ingest idle and at 20,000 logs/s offered.

Of each class up to 20 warm queries, fewer where they would take over six seconds together.

The data are loaded once and kept beside the temporary folder; each half of the measurement works on a copy, whose large
files are hard links (the engine never writes into a part), and begins with all of it in the machine's memory. The
fields of `PROMOTED` had columns when the data were loaded. For the other half they lose them, and names that no record
has take all places, so that use promotes nothing.
"""

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench import client, usage
from bench.bulk import wait_for_merges
from bench.data import write_logs
from bench.figures import Figure, Measurement, Values, Workload
from bench.query_classes import CLASSES, PROMOTED, QueryClass
from bench.server_process import ServerProcess
from logriver.store import ddl
from logriver.store.materialized_columns import MAX_MATERIALIZED

COUNT = 10_000_000
_LINK_FROM_BYTES = 65_536
_READ_BYTES = 8_000_000
_NOBODY = tuple(f"nobody_has_{number}" for number in range(MAX_MATERIALIZED))

COLUMNS = ("p50", "first", "p99", "best", "p50 at 20,000 logs/s", "p99 at 20,000 logs/s")
FIGURES = {query.key: Figure(query.label, "ms", 1, at_most=query.at_most_ms) for query in CLASSES} | {
    "tail": Figure("live tail, line to client, p99 at 20,000 logs/s", "ms", at_most=1_000),
    "tail_half": Figure("live tail, line to client, p50 at 20,000 logs/s", "ms"),
    "fed": Figure("offered and accepted meanwhile", "logs/s"),
    "turned_away": Figure("records answered 429 or 503 meanwhile", "", at_most=0),
    "cpu_idle": Figure("CPU of the server for all queries with ingest idle", "s", 1),
}


def measure(workload: Workload) -> Values:
    """One run."""
    kept = kept_data(workload)
    values: Values = {"cpu_idle": 0.0}
    for promoted in (False, True):
        queries = [query for query in CLASSES if query.promoted is promoted]
        copy_data(kept, workload.folder / "data")
        with ServerProcess(workload.folder, PROMOTED if promoted else _NOBODY, keep=True) as server:
            wait_for_merges(server)
            _read_all(workload.folder / "data" / "store")
            values |= _measured(server, queries, workload, tail=not promoted)
            values["cpu_idle"] += values.pop("cpu")
        shutil.rmtree(workload.folder / "data")
    return values


def _read_all(folder: Path) -> None:
    """Read every file once: the machine may have given the memory of what was read before to others."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                while file.read(_READ_BYTES):
                    pass


def _measured(server: ServerProcess, queries: list[QueryClass], workload: Workload, tail: bool) -> Values:
    before = usage.cpu(server.pid)
    idle = _ask(server, queries)
    values: Values = {"cpu": usage.cpu(server.pid).since(before).seconds}
    with _fed(server, workload.logs) as fed:
        if tail:
            ages = client.run("tail_client", server.host, server.port)
            values |= {"tail": ages["p99"], "tail_half": ages["p50"]}
        busy = _ask(server, queries)
    values |= {"fed": fed["accepted"] / fed["seconds"], "turned_away": fed["turned_away"]}
    for query in queries:
        taken = idle[query.key]
        values[query.key] = taken["p50"]
        values |= {f"{query.key} {column}": taken[column] for column in COLUMNS[1:4]}
        values |= {f"{query.key} {column}": busy[query.key][column[:3]] for column in COLUMNS[4:]}
    return values


def _ask(server: ServerProcess, queries: list[QueryClass]) -> dict[str, Any]:
    keys = ",".join(query.key for query in queries)
    # Another seed each time, or the second round would ask what the first one did.
    seed = int.from_bytes(os.urandom(4), "big")
    return client.run("query_client", server.host, server.port, COUNT, "--keys", keys, "--seed", seed)


@contextlib.contextmanager
def _fed(server: ServerProcess, logs: Path) -> Iterator[dict[str, Any]]:
    """New records at 20,000 a second inside of the block; the sender's figures are there after it."""
    figures: dict[str, Any] = {}
    with client.running("feed_client", server.host, server.port, logs) as feed:
        yield figures
        figures |= client.finish(feed, "enough\n")


def kept_data(workload: Workload) -> Path:
    """The kept data directory; it is made if there is none for this table."""
    table = hashlib.sha256(ddl.create_table(0).encode()).hexdigest()[:8]
    folder = workload.folder.parent / f"logriver-bench-{COUNT}-{table}"
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        logs = folder / "logs.ndjson"
        write_logs(logs, COUNT)
        with ServerProcess(folder, PROMOTED, keep=True) as server:
            client.run("bulk_client", server.host, server.port, logs)
            server.wait_searchable(COUNT)
            wait_for_merges(server)
        logs.unlink()
        (folder / "complete").touch()
    return folder / "data"


def copy_data(kept: Path, data: Path) -> None:
    """Make `data` a copy of what is kept; large files are links."""

    def link_or_copy(source: str, target: str) -> None:
        # What is small may be written in place: locks, the queue's state.
        is_part = Path(source).is_relative_to(kept / "store") and Path(source).stat().st_size >= _LINK_FROM_BYTES
        (os.link if is_part else shutil.copy2)(source, target)

    shutil.rmtree(data, ignore_errors=True)
    shutil.copytree(kept, data, symlinks=True, copy_function=link_or_copy)


MEASUREMENT = Measurement("queries", "Queries on 10 M logs, warm", FIGURES, measure, COLUMNS)
