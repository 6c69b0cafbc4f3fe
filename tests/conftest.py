"""A real server process for tests: `server` is one for the whole run, `new_server` makes more."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import hypothesis
import pytest

# What belongs to one thread says so when another uses it, here and in the servers that tests start (`threads.Owner`).
os.environ["LOGRIVER_CHECK_OWNERS"] = "1"

# By the clock an example says more of what else the machine does; `within_cpu_time` bounds those that need no server.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

_READY = re.compile(r"logriver listens on (http://\S+)")
_STOP_SECONDS = 60


class RunningServer:
    """`logriver serve` on a free port. `url` is its address, `data` its directory, `log_path` its internal log.

    `wrapper` is a command before it: a tracer that lets it be our child.
    """

    def __init__(
        self,
        data: Path,
        *arguments: str,
        environment: dict[str, str] | None = None,
        wrapper: list[str] | None = None,
    ) -> None:
        self.data = data
        self.log_path = data.with_name(f"{data.name}.log")
        self._arguments = arguments
        self._environment = environment or {}
        self.wrapper = wrapper or []
        self.start()

    def start(self) -> None:
        """Start it (again) on the same data and wait until it listens."""
        command = [sys.executable, "-m", "logriver", "serve", "--listen", "127.0.0.1:0", "--data", str(self.data)]
        with self.log_path.open("a") as internal_log:
            self.process = subprocess.Popen(
                [*self.wrapper, *command, *self._arguments],
                stdout=subprocess.PIPE,
                stderr=internal_log,
                text=True,
                env={**os.environ, **self._environment},
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = _READY.search(line)
        if not found:
            self.process.wait(_STOP_SECONDS)
            raise RuntimeError(f"the server did not start: {self.log_path.read_text()[-2000:]}")
        self.url = found[1]
        self.client = httpx.Client(base_url=self.url, timeout=60)

    def kill(self) -> None:
        """SIGKILL."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        return self._end(signal.SIGTERM)

    def _end(self, number: int) -> int:
        self.client.close()
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)
        code = self.process.wait(_STOP_SECONDS)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code

    def search(self, **parameters: object) -> list[dict[str, object]]:
        """The rows of one search."""
        answer = self.client.get("/api/v1/search", params={k: str(v) for k, v in parameters.items()})
        answer.raise_for_status()
        rows: list[dict[str, object]] = answer.json()["rows"]
        return rows

    def status(self) -> dict[str, object]:
        """The answer of the status call."""
        answer = self.client.get("/api/v1/status")
        answer.raise_for_status()
        status: dict[str, object] = answer.json()
        return status


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """One server that tests share: they use fields of their own to tell their records apart."""
    running = RunningServer(tmp_path_factory.mktemp("shared") / "data")
    yield running
    assert running.stop() == 0, running.log_path.read_text()[-2000:]


@pytest.fixture
def new_server(tmp_path: Path) -> Iterator[Callable[..., RunningServer]]:
    """Makes servers of the test's own; they are killed at its end if they still run."""
    started: list[RunningServer] = []

    def make(*arguments: str, data: Path | None = None, **environment: str) -> RunningServer:
        running = RunningServer(data or tmp_path / "data", *arguments, environment=environment)
        started.append(running)
        return running

    yield make
    for running in started:
        if running.process.poll() is None:
            running.kill()


@pytest.fixture(scope="session")
def own_address() -> Iterator[str]:
    """An address of this machine that is not loopback; where it has no network, one is lent to it."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.connect(("192.0.2.1", 9))  # sends nothing, but chooses the address it would send from
        yield asking.getsockname()[0]
        return
    lent = "10.213.7.1"
    subprocess.run(["ip", "address", "add", f"{lent}/32", "dev", "lo"], check=True)
    yield lent
    subprocess.run(["ip", "address", "delete", f"{lent}/32", "dev", "lo"], check=True)
