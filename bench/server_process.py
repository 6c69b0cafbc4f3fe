"""A real server of its own for one measurement, started as a user starts it and always stopped."""

import http.client
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

READY = "logriver listens on "
START_SECONDS = 30
STOP_SECONDS = 60
DRAIN_SECONDS = 300
_POLL_SECONDS = 0.02


class ServerProcess:
    """`logriver serve` on a free port, for the length of a `with` block, with a fresh data directory that is removed.

    With `keep` the data directory stays as it is found and as it is left. `promote` are the promoted fields,
    `environment` are further settings.
    """

    def __init__(
        self,
        folder: Path,
        promote: Sequence[str] = (),
        keep: bool = False,
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.data = folder / "data"
        self._log = folder / "server.log"
        self._environment = {**os.environ, "LOGRIVER_PROMOTE": json.dumps(promote), **environment}
        self._keep = keep
        self.host, self.port, self.pid = "", 0, 0

    def __enter__(self) -> "ServerProcess":
        self._remove_data()
        command = Path(sys.executable).with_name("logriver")
        arguments = [str(command), "serve", "--listen", "127.0.0.1:0", "--data", str(self.data)]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                arguments, stdout=subprocess.PIPE, stderr=log, bufsize=0, env=self._environment
            )
        self.pid = self._process.pid
        try:
            address = urlsplit(self._address())
        except BaseException:
            self._stop()
            raise
        self.host, self.port = address.hostname or "", address.port or 0
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        self._remove_data()

    def status(self) -> dict[str, Any]:
        """`GET /api/v1/status`."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=30)
        try:
            connection.request("GET", "/api/v1/status")
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        if answer.status != 200:
            raise RuntimeError(f"status answered {answer.status}: {body[:200]!r}")
        status: dict[str, Any] = json.loads(body)
        return status

    def wait_searchable(self, count: int) -> float:
        """Wait until `count` records are stored and none waits; the monotonic time of it.

        Raises `RuntimeError` when that does not happen in time, or when more than `count` are there.
        """
        deadline = time.monotonic() + DRAIN_SECONDS
        while True:
            status, now = self.status(), time.monotonic()
            if status["waiting"] == 0 and status["stored"] == count:
                return now
            if now > deadline or status["stored"] > count:
                raise RuntimeError(f"{count} records were accepted, the server has {status!r:.300}")
            time.sleep(_POLL_SECONDS)

    def _remove_data(self) -> None:
        if not self._keep:
            shutil.rmtree(self.data, ignore_errors=True)

    def _address(self) -> str:
        assert self._process.stdout is not None
        deadline = time.monotonic() + START_SECONDS
        while select.select([self._process.stdout], [], [], max(0.0, deadline - time.monotonic()))[0]:
            line = self._process.stdout.readline().decode()
            if line.startswith(READY):
                return line.removeprefix(READY).split()[0]
            if not line:
                break
        raise RuntimeError(f"the server did not start: {self._log.read_text()[-2000:]}")

    def _stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
