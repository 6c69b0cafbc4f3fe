"""Commands as a user calls them: real processes, in pipes or on a terminal."""

import contextlib
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

from tests.conftest import RunningServer

COLUMNS = "120"
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("LOGRIVER_")}
CLEAN = {name: value for name, value in CLEAN.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
CLEAN |= {"COLUMNS": COLUMNS, "TZ": "Asia/Tokyo", "TERM": "xterm-256color"}


def line(*arguments: str) -> list[str]:
    """The command line of `logriver` with `arguments`."""
    return [sys.executable, "-m", "logriver", *arguments]


def logriver(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run to its end, in pipes."""
    done = subprocess.run(
        line(*arguments),
        env=CLEAN | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def on_terminal(*arguments: str, **environment: str) -> tuple[int, str, str]:
    """Run to its end with stdout on a terminal: the exit code, what the terminal shows, and stderr."""
    with terminal() as (outside, shown):
        done = subprocess.run(
            line(*arguments), env=CLEAN | environment, stdout=outside, stderr=subprocess.PIPE, timeout=60, check=False
        )
    return done.returncode, shown.decode().replace("\r\n", "\n"), done.stderr.decode()


@contextlib.contextmanager
def terminal() -> Iterator[tuple[int, bytearray]]:
    """A terminal's descriptor for a command, and what was written to it, whole at the end of the block."""
    inside, outside = pty.openpty()
    shown = bytearray()

    def read() -> None:
        # Linux ends a terminal that nobody writes to any more with an error.
        with contextlib.suppress(OSError):
            while piece := os.read(inside, 65_536):
                shown.extend(piece)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield outside, shown
    finally:
        os.close(outside)
        reader.join(20)
        os.close(inside)


def searchable(server: RunningServer, records: list[dict[str, Any]]) -> None:
    """Send `records` and wait until they are found."""
    answer = server.client.post("/api/v1/logs", params={"wait": "searchable"}, json=records)
    assert answer.json()["accepted"] == len(records), answer.text
