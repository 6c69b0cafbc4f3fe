"""A client that sends what no HTTP library would: bytes as they are, slowly, in part, or without end."""

import contextlib
import json
import select
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx

SECONDS = 30


@dataclass
class Answer:
    """One answer, and whether the connection was closed behind it."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """The word of an error in JSON."""
        assert self.headers["content-type"] == "application/json", self
        error = json.loads(self.body)["error"]
        assert set(error) == {"code", "message", "position", "hint"}
        return str(error["code"])


class RawClient:
    """One connection. `context` speaks TLS."""

    def __init__(self, url: str, context: ssl.SSLContext | None = None) -> None:
        address = httpx.URL(url)
        self.socket = socket.create_connection((address.host, address.port or 80), timeout=SECONDS)
        if context is not None:
            self.socket = context.wrap_socket(self.socket, server_hostname=address.host)
        self._data = b""

    def send(self, data: bytes) -> None:
        """All of it; a server that has closed may not take it, which is its right."""
        with contextlib.suppress(ConnectionError):
            self.socket.sendall(data)

    def flood(self, piece: bytes, pieces: int) -> int:
        """How many bytes the server let itself be sent."""
        sent = 0
        with contextlib.suppress(ConnectionError):
            for _ in range(pieces):
                self.socket.sendall(piece)
                sent += len(piece)
        return sent

    def answer(self, *, is_head: bool = False) -> Answer:
        """The next answer; fails where the server closes without one."""
        while True:
            head, found, rest = self._data.partition(b"\r\n\r\n")
            if found:
                lines = head.decode("latin-1").split("\r\n")
                headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
                length = 0 if is_head else int(headers.get("content-length", 0))
                if len(rest) >= length:
                    self._data = rest[length:]
                    return Answer(int(lines[0].split()[1]), headers, rest[:length])
            piece = self.socket.recv(65_536)
            assert piece, f"closed after {self._data[:200]!r}"
            self._data += piece

    def waits(self) -> bool:
        """Whether something has come, or the end."""
        asking = select.poll()
        asking.register(self.socket, select.POLLIN)
        return bool(asking.poll(0))

    def half_close(self) -> None:
        """Send no more, and go on reading."""
        self.socket.shutdown(socket.SHUT_WR)

    def closed(self) -> bool:
        """Wait for the end; whether nothing more came before it."""
        with contextlib.suppress(ConnectionError):
            while piece := self.socket.recv(65_536):
                self._data += piece
        return not self._data

    def close(self) -> None:
        """Close it."""
        self.socket.close()


@contextlib.contextmanager
def connected(server: Any, context: ssl.SSLContext | None = None) -> Iterator[RawClient]:
    """One connection for the block."""
    client = RawClient(server.url, context)
    try:
        yield client
    finally:
        client.close()


@contextlib.contextmanager
def many(url: str, count: int, first: bytes = b"") -> Iterator[list[RawClient]]:
    """So many connections for the block, each of which has sent `first`."""
    clients = []
    try:
        for _ in range(count):
            clients.append(RawClient(url))
            clients[-1].send(first)
        yield clients
    finally:
        for client in clients:
            client.close()
