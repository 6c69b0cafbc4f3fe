"""Merges while somebody else fills the disk: `python full_disk_merges_victim.py DIRECTORY SEED`.

Run by `test_small_disk.py`. Prints how many records were answered OK, are there, are there once and can be read; then
how many damaged parts were restored and how many put aside.
"""

import random
import sys
import threading
import time
from pathlib import Path

from logriver import metrics
from logriver.columns import TABLE
from logriver.errors import StoreError
from logriver.store.base import Block
from logriver.store.embedded import Embedded
from tests.store.full_disk_victim import fill, rows

ROUNDS = 30
LOOK_SECONDS = 1.0


class Looks(threading.Thread):
    """What a server does once a second."""

    def __init__(self, store: Embedded, directory: Path) -> None:
        super().__init__(daemon=True)
        self._store = store
        self._directory = directory
        self.finish = threading.Event()

    def run(self) -> None:
        while not self.finish.wait(LOOK_SECONDS):
            self.look()

    def look(self) -> bool:
        try:
            self._store.repair_parts()
        except StoreError as error:
            print(f"look: {error}", file=sys.stderr)
            return False
        return True


def main(directory: Path, seed: int) -> None:
    directory.mkdir()
    store = Embedded(directory, "n", 500_000_000, 64_000_000)
    looks = Looks(store, directory)
    looks.look()
    looks.start()
    rng, file = random.Random(seed), directory.parent / "fill"
    expected = 0
    for first in range(1, ROUNDS * 10_000, 10_000):
        count = rng.choice([10, 500, 2_000])
        other = threading.Thread(target=fill, args=(file, rng.random() * 0.4, rng.choice([0, rng.randrange(300_000)])))
        other.start()
        for part in range(5):
            try:
                store.insert(Block(rows(count), first + part * count, count, 1))
                expected += count
            except StoreError:
                continue
        other.join()
        file.unlink(missing_ok=True)
    looks.finish.set()
    looks.join()
    # What reads a damaged block may need minutes for it.
    while not looks.look():
        time.sleep(LOOK_SECONDS)
    counts = store.query(f"SELECT count(), uniqExact(_seq), sum(NOT ignore(*)) FROM {TABLE}").rows[0]
    outcome = {name: int(metrics.damaged_parts.labels(outcome=name)._value.get()) for name in ("restored", "put_aside")}
    print(expected, *map(int, map(str, counts)), outcome["restored"], outcome["put_aside"])
    store.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
