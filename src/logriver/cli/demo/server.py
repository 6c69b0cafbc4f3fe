"""A real server as a child process, for the demo."""

import errno
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from logriver import clock
from logriver.errors import Unavailable

FIRST_PORT = 3000
_TRIED_PORTS = 100
_START_SECONDS = 30.0
_STOP_SECONDS = 30.0
_IN_USE = os.strerror(errno.EADDRINUSE)
_READY = re.compile(r"logriver listens on (http://\S+)")


class DemoServer:
    """`logriver serve` on the first free port, following the given files into a data directory under `directory`."""

    def __init__(self, directory: Path, follow: dict[str, Path]) -> None:
        self._said = directory / "server.out"
        self._log = directory / "server.log"
        self._command = [sys.executable, "-m", "logriver", "serve", "--data", str(directory / "data"), "--name", "demo"]
        for log_format, path in follow.items():
            self._command += ["--follow", f"{log_format}={path}"]
        self._start()

    def _start(self) -> None:
        self._port = free_port()
        command = [*self._command, "--listen", f"127.0.0.1:{self._port}"]
        # Who has a token for another server set is local here all the same.
        environment = {**os.environ, "LOGRIVER_TRUST_LOOPBACK": "true"}
        # A process group of its own: Ctrl-C reaches only the demo, which stops the generators first.
        with self._said.open("wb") as said, self._log.open("wb") as log:
            self._process = subprocess.Popen(command, stdout=said, stderr=log, process_group=0, env=environment)

    def wait_ready(self, stop: threading.Event) -> str:
        """The server's address once it receives. Raises `Unavailable` with the end of its log where it does not."""
        give_up_at = clock.monotonic() + _START_SECONDS
        while clock.monotonic() < give_up_at:
            ready = _READY.search(self._said.read_text(errors="replace"))
            if ready:
                return ready[1]
            if stop.is_set():
                break
            if self._process.poll() is not None:
                if _is_free(self._port) and _IN_USE not in self.last_words():
                    break
                # Somebody else took it since it was looked for, or only looked for it at that moment.
                self._start()
            time.sleep(0.05)
        raise Unavailable(f"the server did not start:\n{self.last_words()}")

    def running(self) -> bool:
        """Whether the process is there."""
        return self._process.poll() is None

    def last_words(self) -> str:
        """The end of the server's internal log."""
        return self._log.read_text(errors="replace")[-2000:].strip()

    def stop(self) -> None:
        """SIGTERM, on which the server drains; SIGKILL if that takes too long."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def free_port() -> int:
    """3000, or the next port that nobody listens on."""
    for port in range(FIRST_PORT, FIRST_PORT + _TRIED_PORTS):
        if _is_free(port):
            return port
    raise Unavailable(f"no free port from {FIRST_PORT} to {FIRST_PORT + _TRIED_PORTS - 1}")


def _is_free(port: int) -> bool:
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
