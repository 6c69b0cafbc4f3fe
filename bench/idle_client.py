"""Opens thousands of connections that do nothing, then asks again beside them: `python -m bench.idle_client`.

Each connection makes one request when it is opened, as a shipper that keeps its connection does. The client prints
`open`, waits for a line on stdin, sends single records over one more connection, and prints its figures.
"""

import argparse
import json
import resource
import select
import socket
import sys
import time
from pathlib import Path

from bench.client import read_answer, request_head
from bench.data import first_lines
from bench.single_client import quantile_ms

_AT_A_TIME = 200
_POSTS = 2_000
_SPARE_FILES = 100


def open_connections(host: str, port: int, count: int) -> list[socket.socket]:
    """`count` connections that were answered once."""
    request = request_head(host, port, 0, method="GET", path="/health")
    connections: list[socket.socket] = []
    while len(connections) < count:
        group = []
        for _ in range(min(_AT_A_TIME, count - len(connections))):
            group.append(socket.create_connection((host, port), timeout=30))
            group[-1].sendall(request)
        for connection in group:
            read_answer(connection)
        connections += group
    return connections


def still_open(connections: list[socket.socket]) -> int:
    """How many of them the server has not closed."""
    poller = select.poll()
    for connection in connections:
        poller.register(connection, select.POLLIN)
    # Nothing was asked: a connection that can be read has been closed.
    return len(connections) - len(poller.poll(0))


def post_latencies(host: str, port: int, path: Path) -> list[float]:
    """Seconds of single records sent one after the other."""
    latencies = []
    with socket.create_connection((host, port), timeout=30) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for line in first_lines(path, _POSTS):
            began = time.perf_counter()
            connection.sendall(request_head(host, port, len(line)) + line)
            status, answer = read_answer(connection)
            if status != 200:
                raise RuntimeError(f"a record was answered {status}: {answer[-300:]!r}")
            latencies.append(time.perf_counter() - began)
    return latencies


def main() -> None:
    """Open, say so, wait to be asked, post, print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("path", type=Path)
    parser.add_argument("--connections", type=int, default=10_000)
    options = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = options.connections + _SPARE_FILES
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise SystemExit(f"{options.connections} connections need {wanted} open files, this machine allows {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    connections = open_connections(options.host, options.port, options.connections)
    print("open", flush=True)
    sys.stdin.readline()
    latencies = post_latencies(options.host, options.port, options.path)
    figures = {
        "open": still_open(connections),
        "posts": len(latencies),
        "p50_ms": quantile_ms(latencies, 0.5),
        "p99_ms": quantile_ms(latencies, 0.99),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
