"""Pushes an NDJSON file in large bodies over a few connections: `python -m bench.bulk_client` (see `bulk.py`).

Blocking sockets in threads and `sendfile` from the page cache: the client hardly touches the bytes.
"""

import argparse
import itertools
import json
import socket
import threading
import time
from pathlib import Path
from typing import BinaryIO

from bench.client import read_answer, request_head
from bench.data import Piece, cut

_TURNED_AWAY_SECONDS = 0.1


class Push:
    """What the connections share: the bodies that are left, and what came of them.

    With `seconds` the file is sent again and again until they are over, otherwise once.
    """

    def __init__(self, host: str, port: int, path: Path, body_bytes: int, seconds: float) -> None:
        self._host, self._port, self._path = host, port, path
        bodies = cut(path, body_bytes)
        self._bodies = itertools.cycle(bodies) if seconds else iter(bodies)
        self._deadline = time.monotonic() + seconds if seconds else float("inf")
        self._lock = threading.Lock()
        self.accepted, self.turned_away, self.failures = 0, 0, list[str]()

    def push(self) -> None:
        """One connection's life; a failure ends all of them."""
        try:
            with socket.create_connection((self._host, self._port)) as connection, self._path.open("rb") as file:
                while body := self._next_body():
                    self._deliver(connection, file, body)
        except (OSError, ValueError, RuntimeError) as error:
            self.failures.append(f"{type(error).__name__}: {error}")

    def _next_body(self) -> Piece | None:
        with self._lock:
            over = self.failures or time.monotonic() > self._deadline
            return None if over else next(self._bodies, None)

    def _deliver(self, connection: socket.socket, file: BinaryIO, body: Piece) -> None:
        head = request_head(self._host, self._port, body.length)
        while True:
            connection.sendall(head)
            connection.sendfile(file, body.offset, body.length)
            status, answer = read_answer(connection)
            if status not in (429, 503):
                break
            with self._lock:
                self.turned_away += 1
            time.sleep(_TURNED_AWAY_SECONDS)
        if status != 200:
            raise RuntimeError(f"a body was answered {status}: {answer[-300:]!r}")
        accepted = json.loads(answer.partition(b"\r\n\r\n")[2])["accepted"]
        if accepted != body.count:
            raise RuntimeError(f"{accepted} of {body.count} records were accepted: {answer[-300:]!r}")
        with self._lock:
            self.accepted += accepted


def main() -> None:
    """Push and print the figures; `began` and `ended` are monotonic times, the same clock in every process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("path", type=Path)
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--body-bytes", type=int, default=4_000_000)
    parser.add_argument("--seconds", type=float, default=0.0)
    options = parser.parse_args()
    push = Push(options.host, options.port, options.path, options.body_bytes, options.seconds)
    began, cpu_before = time.monotonic(), time.process_time()
    threads = [threading.Thread(target=push.push) for _ in range(options.connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if push.failures:
        raise SystemExit("; ".join(push.failures))
    figures = {
        "accepted": push.accepted,
        "began": began,
        "ended": time.monotonic(),
        "cpu_seconds": time.process_time() - cpu_before,
        "turned_away": push.turned_away,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
