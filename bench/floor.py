"""The engine's own floor: the same data, as rows, into the same table, by two threads and nothing around them.

Measured in a process of its own: `python -m bench.floor LOGS FOLDER`.
"""

import argparse
import json
import os
import shutil
import threading
import time
from pathlib import Path

from bench import client, usage
from bench.engine import blocks, engine, parts, write_rows
from bench.figures import Figure, Measurement, Values, Workload
from logriver.settings import load
from logriver.store.base import Block
from logriver.store.embedded import Embedded

THREADS = 2

FIGURES = {
    "logs": Figure("engine alone", "logs/s"),
    "cpu": Figure("engine alone, CPU with the merges that ran meanwhile", "us/log", 2),
    "cpu_without_merges": Figure("engine alone, CPU without merges", "us/log", 2),
    "ratio": Figure("server until searchable / engine alone", "", 2),
    "cpu_ratio": Figure("CPU without merges, server / engine alone", "", 2),
}


def measure(workload: Workload) -> Values:
    """One run."""
    folder = workload.folder / "floor"
    try:
        figures = client.run("floor", workload.logs, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return {
        "logs": figures["count"] / figures["seconds"],
        "cpu": figures["cpu_seconds"] / figures["count"] * 1e6,
        "cpu_without_merges": (figures["cpu_seconds"] - figures["merge_seconds"]) / figures["count"] * 1e6,
    }


def ratios(server: Values, alone: Values) -> Values:
    """How near the server (values of `bulk` in the same run) comes to the engine alone."""
    return {
        "ratio": server["searchable"] / alone["logs"],
        "cpu_ratio": server["cpu_without_merges"] / alone["cpu_without_merges"],
    }


MEASUREMENT = Measurement("floor", "The engine's own floor, two sessions", FIGURES, measure)


class Feed:
    """Hands blocks to the threads that insert them, one at a time."""

    def __init__(self, store: Embedded, rows: Path) -> None:
        self._store = store
        self._blocks = blocks(rows, load().block_bytes)
        self._lock = threading.Lock()
        self.failures: list[Exception] = []

    def insert_all(self) -> None:
        """One thread's work; a failure ends all of them."""
        try:
            while block := self._next():
                self._store.insert(block)
        except Exception as error:  # noqa: BLE001 - told to the caller, which raises it
            self.failures.append(error)

    def _next(self) -> Block | None:
        with self._lock:
            return None if self.failures else next(self._blocks, None)


def main() -> None:
    """Insert and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("logs", type=Path)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    with engine(options.folder) as store:
        rows = options.folder / "rows.tsv"
        write_rows(options.logs, rows)
        feed = Feed(store, rows)
        threads = [threading.Thread(target=feed.insert_all) for _ in range(THREADS)]
        before, began = usage.cpu(os.getpid()), time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds, used = time.monotonic() - began, usage.cpu(os.getpid()).since(before)
        if feed.failures:
            raise feed.failures[0]
        _, count, _ = parts(store)
    figures = {
        "count": count,
        "seconds": seconds,
        "cpu_seconds": used.seconds,
        "merge_seconds": used.merge_seconds,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
