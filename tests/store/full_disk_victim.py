"""Inserts while somebody else fills the disk: `python full_disk_victim.py DIRECTORY`, run by `test_small_disk.py`.

Prints how many inserts were answered OK and how many were not; ends with an error if one of the former is not whole.
"""

import base64
import contextlib
import os
import random
import sys
import threading
import time
from pathlib import Path

from logriver.columns import ROW_COLUMNS, TABLE
from logriver.errors import LogriverError, StoreError
from logriver.store.base import Block
from logriver.store.embedded import Embedded

ROUNDS = 40


def rows(count: int) -> bytes:
    fixed = {"timestamp": "1700000000000000000", "_received": "1700000000000000000", "_offset": "0"}
    lines = []
    for _ in range(count):
        values = fixed | {"message": base64.b64encode(os.urandom(300)).decode()}
        lines.append("\t".join(values.get(column.name, "x") for column in ROW_COLUMNS) + "\n")
    return "".join(lines).encode()


def fill(file: Path, pause_seconds: float, leave: int) -> None:
    time.sleep(pause_seconds)
    disk = os.statvfs(file.parent)
    size = disk.f_bavail * disk.f_frsize - leave
    if size > 0:
        with contextlib.suppress(OSError), file.open("ab") as opened:
            os.posix_fallocate(opened.fileno(), 0, size)


def main(directory: Path) -> None:
    store = Embedded(directory, "n", 500_000_000, 64_000_000)
    rng, file = random.Random(1), directory / "fill"
    answers = {True: 0, False: 0}
    for first in range(1, ROUNDS * 10_000, 10_000):
        count = rng.choice([10, 2_000, 10_000])
        block = Block(rows(count), first, count, 1)
        # As a server does where so little is free: what a merge loses is not what is looked for here.
        store.repair_parts()
        store.set_disk_pressure(True)
        other = threading.Thread(target=fill, args=(file, rng.random() * 0.1, rng.choice([0, rng.randrange(300_000)])))
        other.start()
        try:
            store.insert(block)
            stored = True
        except StoreError:
            stored = False
        other.join()
        answers[stored] += 1
        condition = f"_seq BETWEEN {first} AND {first + count - 1}"
        try:
            found = store.query(f"SELECT count(), sum(NOT ignore(*)) FROM {TABLE} WHERE {condition}").rows[0]
        except LogriverError as error:
            sys.exit(f"insert answered OK: {stored}; reading: {error}")
        if stored and int(str(found[0])) != count:
            sys.exit(f"insert answered OK, {found} of {count} are there")
        file.unlink(missing_ok=True)
    print(answers[True], answers[False])
    store.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
