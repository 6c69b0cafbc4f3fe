"""A real agent process, and a network between it and its server that can be cut."""

import contextlib
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

_STOP_SECONDS = 30
_PIECE_BYTES = 65_536


class RunningAgent:
    """`logriver agent` with those arguments; `log_path` is its internal log."""

    def __init__(self, log_path: Path, *arguments: str, environment: dict[str, str] | None = None) -> None:
        self.log_path = log_path
        self._arguments = arguments
        self._environment = environment or {}
        self.start()

    def start(self) -> None:
        """Start it (again) and wait until it says so."""
        command = [sys.executable, "-m", "logriver", "agent", "--log-file", str(self.log_path), *self._arguments]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env={**os.environ, **self._environment}
        )
        assert self.process.stdout is not None
        self.said = self.process.stdout.readline()
        assert "logriver agent" in self.said, self.said

    def kill(self) -> None:
        """SIGKILL."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        return self._end(signal.SIGTERM)

    def wait_for_log(self, text: str, seconds: float = 30) -> None:
        """Wait until its internal log has `text`."""
        deadline = time.monotonic() + seconds
        while text not in self.log_path.read_text():
            assert time.monotonic() < deadline, f"{text!r} is not in {self.log_path.read_text()[-2000:]}"
            time.sleep(0.05)

    def _end(self, number: int) -> int:
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)
        code = self.process.wait(_STOP_SECONDS)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


class Network:
    """A TCP proxy to wherever `target()` is now. `url` is what the agent is told.

    `lose_answers` is how many answers to requests are to be lost: the connection is reset when their first bytes come.
    With `cut_at_random` connections end anywhere, by a reset or by closing one direction.
    """

    def __init__(self, target: Callable[[], str]) -> None:
        self._target = target
        self._random = random.Random(20261122)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.lose_answers = 0
        self.lost_answers = 0
        self.cut_at_random = False
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """No new connections."""
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    place = urlsplit(self._target())
                    server = socket.create_connection((place.hostname, place.port or 0), timeout=5)
                except OSError:
                    _prepare_reset(client)
                    client.close()
                    continue
                server.settimeout(None)
                threading.Thread(target=self._connect, args=(client, server), daemon=True).start()

    def _connect(self, client: socket.socket, server: socket.socket) -> None:
        with client, server:
            answers = threading.Thread(target=self._pump, args=(server, client, True), daemon=True)
            answers.start()
            self._pump(client, server, False)
            answers.join()

    def _pump(self, source: socket.socket, sink: socket.socket, is_answer: bool) -> None:
        # How many bytes pass before a cut: about a batch, compressed.
        left = self._random.randint(1, 20_000)
        with contextlib.suppress(OSError):
            while data := source.recv(_PIECE_BYTES):
                if is_answer and self.lose_answers > 0:
                    self.lose_answers -= 1
                    self.lost_answers += 1
                    break
                left -= len(data)
                if self.cut_at_random and left < 0:
                    self.cuts += 1
                    if self._random.random() < 0.5:
                        sink.sendall(data[: len(data) // 2])
                        sink.shutdown(socket.SHUT_WR)
                        time.sleep(0.2)
                    break
                sink.sendall(data)
            else:
                sink.shutdown(socket.SHUT_WR)
                return
        for connection in (source, sink):
            _prepare_reset(connection)
            with contextlib.suppress(OSError):
                # Another thread may be reading from it.
                connection.shutdown(socket.SHUT_RDWR)


def _prepare_reset(connection: socket.socket) -> None:
    """Closing will not be orderly."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
