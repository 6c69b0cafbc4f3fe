"""A server in which something hangs or fails while a file names that fault: before `python -m logriver serve ..`.

python faulty_server.py FILE python -m logriver serve ..
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from logriver import readiness, server
from logriver.cli import main
from logriver.queue import backlog, wal
from logriver.store import sessions
from logriver.store.embedded import Embedded
from logriver.write import writer

FILE = Path(sys.argv[1])


def hang() -> None:
    while is_now("insert hangs"):
        time.sleep(0.01)


def no_memory() -> None:
    raise MemoryError


def unreadable() -> None:
    raise OSError(5, "Input/output error", str(FILE))


def is_now(name: str) -> bool:
    return FILE.exists() and FILE.read_text() == name


def before(name: str, owner: Any, method: str, fault: Callable[[], None]) -> None:
    """Have `fault` called before the real thing while it is that fault's time."""
    real = getattr(owner, method)

    def both(*arguments: object, **named: object) -> object:
        if is_now(name):
            fault()
        return real(*arguments, **named)

    setattr(owner, method, both)


if __name__ == "__main__":
    before("insert hangs", Embedded, "insert", hang)
    before("taking finds no memory", wal.Wal, "poll", no_memory)
    before("the log is unreadable", backlog, "read_range", unreadable)
    before("the log is unreadable", backlog, "read_around", unreadable)
    readiness.IDLE_SECONDS = 0.5
    server._DRAIN_SECONDS = 1.0
    writer._LAST_INSERT_SECONDS = 0.5
    sessions._CLOSE_SECONDS = 0.5
    sys.argv = ["logriver", *sys.argv[sys.argv.index("logriver") + 1 :]]
    main()
