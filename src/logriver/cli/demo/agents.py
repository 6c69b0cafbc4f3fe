"""Real agents as child processes, for the demo: each a machine of its own, with a directory that only it reads."""

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx

from logriver import clock
from logriver.errors import Unavailable

READ_FILE = "app.log"
"""Grows on each agent and is never sent: the server asks for its lines."""
_FOLLOWED_FILE = "access.log"
_START_SECONDS = 30.0
_STOP_SECONDS = 10.0


class DemoAgents:
    """`count` agents of the server at `address`, called web-1, web-2 and so on."""

    def __init__(self, directory: Path, address: str, count: int) -> None:
        self.names = [f"web-{number}" for number in range(1, count + 1)]
        self._roots = [directory / name for name in self.names]
        self._processes = [self._start(root, address) for root in self._roots]

    @property
    def read(self) -> list[Path]:
        """The files that lie where they are."""
        return [root / READ_FILE for root in self._roots]

    @property
    def followed(self) -> list[Path]:
        """The files whose lines go to the server."""
        return [root / _FOLLOWED_FILE for root in self._roots]

    def wait_connected(self, client: httpx.Client, stop: threading.Event) -> None:
        """Until the server knows all, or `stop` is set. Raises `Unavailable` where one does not come."""
        give_up_at = clock.monotonic() + _START_SECONDS
        while not (stop.is_set() or self._connected(client)):
            if clock.monotonic() > give_up_at or any(process.poll() is not None for process in self._processes):
                words = [self._log(root).read_text(errors="replace")[-1000:].strip() for root in self._roots]
                raise Unavailable("the agents did not start:\n" + "\n".join(words))
            time.sleep(0.1)

    def stop(self) -> None:
        """SIGTERM; SIGKILL if that takes too long."""
        for process in self._processes:
            process.send_signal(signal.SIGTERM)
        for process in self._processes:
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _connected(self, client: httpx.Client) -> bool:
        agents = client.get("/api/v1/agents").raise_for_status().json()["agents"]
        return set(self.names) <= {agent["name"] for agent in agents if agent["connected"]}

    def _start(self, root: Path, address: str) -> "subprocess.Popen[bytes]":
        root.mkdir()
        command = [sys.executable, "-m", "logriver", "agent", "--server", address, "--name", root.name]
        command += ["--files-root", str(root), str(root / _FOLLOWED_FILE)]
        # A process group of its own, as the server has.
        with self._log(root).open("wb") as log:
            return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log, process_group=0)

    @staticmethod
    def _log(root: Path) -> Path:
        return root.with_name(f"{root.name}.log")
