"""`python -m tests.store.migration_victim DIRECTORY TO`: converts a data directory, killed before each step once.

A step is a statement of SQLite or a call that makes a file durable. `TO/N` is what a kill before the Nth step leaves,
the last one what is left without a kill.
"""

import itertools
import os
import shutil
import signal
import sqlite3
import sys
from pathlib import Path
from typing import Any

from logriver.store.migrations.convert import convert

connect = sqlite3.connect


def convert_and_die(directory: Path, number: int) -> None:
    """Convert, and die before a step."""
    steps = itertools.count(1)

    def step(*_: object) -> None:
        if next(steps) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    def traced(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, **options)
        connection.set_trace_callback(step)
        return connection

    def before(name: str) -> None:
        call = getattr(os, name)

        def stepped(*arguments: Any, **options: Any) -> Any:
            step()
            return call(*arguments, **options)

        setattr(os, name, stepped)

    before("fsync")
    before("rename")
    sqlite3.connect = traced  # type: ignore[assignment]
    convert(directory)


def main(original: Path, to: Path) -> None:
    """One process for each step, made from this one, which has loaded everything."""
    for number in itertools.count(1):
        directory = shutil.copytree(original, to / str(number), ignore=shutil.ignore_patterns("store"))
        child = os.fork()
        if not child:
            convert_and_die(directory, number)
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        if not os.WIFSIGNALED(status):
            sys.exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
