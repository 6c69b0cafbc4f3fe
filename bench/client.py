"""Running the load clients as processes of their own, and the little HTTP that they share."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
CLIENT_SECONDS = 600


@contextmanager
def running(module: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """`python -m bench.<module>` for the length of a `with` block; it is killed if it still runs at the end.

    A client prints its figures as its last line, as JSON; `finish` reads them.
    """
    command = [sys.executable, "-m", f"bench.{module}", *map(str, arguments)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def finish(process: subprocess.Popen[str], last_words: str = "") -> dict[str, Any]:
    """Wait for a client and give its figures. `last_words` go to its stdin."""
    try:
        output, _ = process.communicate(last_words, timeout=CLIENT_SECONDS)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"a client takes over {CLIENT_SECONDS} s: {process.args!r:.300}") from None
    if process.returncode != 0:
        raise RuntimeError(f"a client failed: {process.args!r:.300}")
    figures: dict[str, Any] = json.loads(output.splitlines()[-1])
    return figures


def run(module: str, *arguments: object) -> dict[str, Any]:
    """Start a client and wait for its figures."""
    with running(module, *arguments) as process:
        return finish(process)


def request_head(host: str, port: int, length: int, method: str = "POST", path: str = "/api/v1/logs") -> bytes:
    """The head of a request that carries `length` bytes of JSON."""
    lines = (
        f"{method} {path} HTTP/1.1",
        f"Host: {host}:{port}",
        "Content-Type: application/x-ndjson",
        f"Content-Length: {length}",
    )
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def answer_end(data: bytes) -> int:
    """Where the answer that `data` begins with ends, or 0 while it is not complete.

    The server says the length of everything the clients ask for; another answer raises `ValueError`.
    """
    head_end = data.find(b"\r\n\r\n")
    if head_end < 0:
        return 0
    head = data[:head_end].lower()
    at = head.find(b"content-length:")
    if at < 0:
        raise ValueError(f"an answer without length: {data[:200]!r}")
    line_end = head.find(b"\r\n", at)
    length = int(head[at + 15 : line_end if line_end > 0 else head_end])
    end = head_end + 4 + length
    return end if len(data) >= end else 0


def read_answer(connection: socket.socket) -> tuple[int, bytes]:
    """The next answer on a blocking connection: its status and its whole bytes."""
    data = b""
    while not (end := answer_end(data)):
        piece = connection.recv(65536)
        if not piece:
            raise ConnectionError(f"the server closed the connection after {data[:200]!r}")
        data += piece
    return int(data[9:12]), data[:end]
