"""Offers a steady stream of new records until stdin closes: `python -m bench.feed_client` (see `queries.py`).

A record's time is when it is sent, to the millisecond, so a live tail can tell how old a line is when it arrives.
"""

import argparse
import itertools
import json
import select
import socket
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from bench.client import read_answer, request_head
from bench.data import first_lines

_BATCHES_PER_SECOND = 20
_LINES = 50_000
_TIME = b'"timestamp":"'
_TIME_LENGTH = len("2023-09-15T08:00:00.000Z")


def batches(path: Path, size: int) -> Iterator[list[tuple[bytes, bytes]]]:
    """Batches of records without end, each record as what stands before and after its time."""
    records = []
    for line in first_lines(path, _LINES):
        at = line.index(_TIME) + len(_TIME)
        records.append((line[:at], line[at + _TIME_LENGTH :]))
    for start in itertools.cycle(range(0, len(records) - size + 1, size)):
        yield records[start : start + size]


def main() -> None:
    """Send at the rate and print how many were accepted, how many turned away, and in how many seconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("path", type=Path)
    parser.add_argument("--rate", type=int, default=20_000)
    options = parser.parse_args()
    accepted, turned_away, began = 0, 0, time.monotonic()
    with socket.create_connection((options.host, options.port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for number, records in enumerate(batches(options.path, options.rate // _BATCHES_PER_SECOND)):
            # What could not be sent in time is sent as soon as it can be: offered is offered.
            wait = began + number / _BATCHES_PER_SECOND - time.monotonic()
            if select.select([sys.stdin], [], [], max(0.0, wait))[0]:
                break
            now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3].encode() + b"Z"
            body = b"\n".join(before + now + after for before, after in records)
            connection.sendall(request_head(options.host, options.port, len(body)) + body)
            status, answer = read_answer(connection)
            if status in (429, 503):
                turned_away += len(records)
            elif status != 200:
                raise RuntimeError(f"a batch was answered {status}: {answer[-300:]!r}")
            else:
                accepted += len(records)
    print(json.dumps({"accepted": accepted, "turned_away": turned_away, "seconds": time.monotonic() - began}))


if __name__ == "__main__":
    main()
