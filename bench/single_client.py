"""Sends single records over many connections, each waiting for its answer: `python -m bench.single_client`.

Requests are built before the clock starts; a connection is an asyncio protocol on uvloop, without a task or a future
per request, so that the client takes a fraction of the CPU of any server it measures.
"""

import argparse
import asyncio
import itertools
import json
import time
from collections import Counter
from pathlib import Path
from typing import cast

import uvloop

from bench.client import answer_end, request_head
from bench.data import first_lines

_DISTINCT_REQUESTS = 50_000
_LAST_ANSWER_SECONDS = 30


class Load:
    """What the connections share: the requests, the deadline, and the latencies of what was accepted."""

    def __init__(self, requests: list[bytes], connections: int, seconds: float) -> None:
        self.requests = itertools.cycle(requests)
        self.latencies = list[float]()
        self.other_answers = Counter[str]()
        self.deadline = time.perf_counter() + seconds
        self.all_done = asyncio.Event()
        self._open = connections

    def ended(self) -> None:
        """A connection ended."""
        self._open -= 1
        if self._open == 0:
            self.all_done.set()


class Sender(asyncio.Protocol):
    """One keep-alive connection that always has one request on its way."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._partial = b""
        self._waiting = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's transports are not subclasses of it
        self._send()

    def data_received(self, data: bytes) -> None:
        """Note the answer and send the next request."""
        if self._partial:
            data = self._partial + data
        if not answer_end(data):
            self._partial = data
            return
        self._partial = b""
        self._waiting = False
        now, load = time.perf_counter(), self._load
        if data.startswith(b"HTTP/1.1 200"):
            load.latencies.append(now - self._sent_at)
        else:
            load.other_answers[data[9:12].decode()] += 1
        if now < load.deadline:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Count a request that stays without an answer."""
        if self._waiting:
            self._load.other_answers["connection lost"] += 1
        self._load.ended()

    def _send(self) -> None:
        self._sent_at = time.perf_counter()
        self._waiting = True
        self._transport.write(next(self._load.requests))


def prepare(host: str, port: int, path: Path) -> list[bytes]:
    """A whole request for each of the first lines of the file."""
    return [request_head(host, port, len(line)) + line for line in first_lines(path, _DISTINCT_REQUESTS)]


async def send(host: str, port: int, requests: list[bytes], connections: int, seconds: float) -> Load:
    """Run all connections until the time is over and every request is answered."""
    loop = asyncio.get_running_loop()
    load = Load(requests, connections, seconds)
    for _ in range(connections):
        await loop.create_connection(lambda: Sender(load), host, port)
    async with asyncio.timeout(seconds + _LAST_ANSWER_SECONDS):
        await load.all_done.wait()
    return load


def quantile_ms(seconds: list[float], share: float) -> float:
    """The value that `share` of the values do not exceed, in milliseconds; 0 without values."""
    ordered = sorted(seconds)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000 if ordered else 0.0


def main() -> None:
    """Send and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("path", type=Path)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    requests = prepare(options.host, options.port, options.path)
    began, cpu_before = time.monotonic(), time.process_time()
    load = uvloop.run(send(options.host, options.port, requests, options.connections, options.seconds))
    figures = {
        "accepted": len(load.latencies),
        "other_answers": dict(load.other_answers),
        "seconds": time.monotonic() - began,
        "cpu_seconds": time.process_time() - cpu_before,
        "p50_ms": quantile_ms(load.latencies, 0.5),
        "p99_ms": quantile_ms(load.latencies, 0.99),
        "slowest_ms": quantile_ms(load.latencies, 1.0),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
