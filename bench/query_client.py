"""Asks each class of queries again and again over one connection: `python -m bench.query_client` (see `queries.py`)."""

import argparse
import http.client
import json
import random
import socket
import time
from datetime import datetime
from typing import Any

from bench.query_classes import CLASSES, QueryClass, Records
from bench.single_client import quantile_ms

_SAMPLES = 100
_ANSWER_SECONDS = 60
_TOO_EXPENSIVE = 422
_LONGEST_SECONDS = 6
_LEAST_RUNS = 3


class Connection:
    """One keep-alive connection to the server."""

    def __init__(self, host: str, port: int) -> None:
        self._connection = http.client.HTTPConnection(host, port, timeout=_ANSWER_SECONDS)
        self._connection.connect()
        self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def get(self, path: str) -> Any:
        """The answer's JSON, None for a query that met its limit of time. Raises `RuntimeError` for other failures."""
        self._connection.request("GET", path)
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status == _TOO_EXPENSIVE and b"limit of time" in body:
            return None
        if answer.status != 200:
            raise RuntimeError(f"{path!r} was answered {answer.status}: {body[:300]!r}")
        return json.loads(body)

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


def some_records(connection: Connection, draw: random.Random, count: int) -> Records:
    """Records from all over the first `count`, whose ids and times the queries ask for."""
    numbers = [1, count, *(draw.randint(1, count) for _ in range(_SAMPLES))]
    oldest, newest, *some = [connection.get(f"/api/v1/search?q=_seq:{number}")["rows"][0] for number in numbers]
    first, last = (int(datetime.fromisoformat(row["timestamp"]).timestamp()) for row in (oldest, newest))
    return Records(some, first, last)


def measure(connection: Connection, query: QueryClass, draw: random.Random, records: Records, runs: int) -> list[float]:
    """Seconds of a first query and of `runs` more, fewer where they take very long; a limit met counts as its time."""
    taken: list[float] = []
    while len(taken) <= runs and (len(taken) < _LEAST_RUNS or sum(taken) < _LONGEST_SECONDS):
        path = query.ask(draw, records)
        began = time.perf_counter()
        connection.get(path)
        taken.append(time.perf_counter() - began)
    return taken


def main() -> None:
    """Ask and print milliseconds by class: of the first query, and p50, p99 and best of those after it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keys", default=",".join(query.key for query in CLASSES))
    options = parser.parse_args()
    draw, connection = random.Random(options.seed), Connection(options.host, options.port)
    records = some_records(connection, draw, options.count)
    figures = {}
    for query in CLASSES:
        if query.key in options.keys.split(","):
            first, *warm = measure(connection, query, draw, records, options.runs)
            figures[query.key] = {
                "first": first * 1000,
                "p50": quantile_ms(warm, 0.5),
                "p99": quantile_ms(warm, 0.99),
                "best": min(warm) * 1000,
                "runs": len(warm),
            }
    connection.close()
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
