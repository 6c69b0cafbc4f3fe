"""A program that logs at a steady rate, and the tools that rotate its file under it."""

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

LINES_A_STEP = 500
STEP_SECONDS = 0.05


class LogWriter(threading.Thread):
    """Writes numbered JSON lines, 10,000 a second, reopening its file after each rotation.

    `lines` are (number, life of the file, offset in it). Each `rotate_*` waits for the writer to pause, as its tool
    would have it do, and may be called from one other thread.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(daemon=True)
        self.path = path
        self.lines: list[tuple[int, int, int]] = []
        self.life = 0
        self._file = path.open("ab", buffering=0)
        self._paused = threading.Lock()
        self._finish = threading.Event()
        self.failure: BaseException | None = None

    def run(self) -> None:
        """Write until told to finish."""
        next_at = time.monotonic()
        while not self._finish.is_set():
            with self._paused:
                self._step()
            next_at += STEP_SECONDS
            time.sleep(max(0.0, next_at - time.monotonic()))

    def _step(self) -> None:
        offset = os.fstat(self._file.fileno()).st_size
        step = []
        for number in range(len(self.lines), len(self.lines) + LINES_A_STEP):
            line = b'{"message":"line of a life","n":%d,"life":%d}\n' % (number, self.life)
            self.lines.append((number, self.life, offset))
            step.append(line)
            offset += len(line)
        data = b"".join(step)
        # In pieces that end anywhere, as a program that fills a buffer writes.
        for start in range(0, len(data), 4096):
            self._file.write(data[start : start + 4096])

    @contextmanager
    def _pause(self) -> Iterator[None]:
        with self._paused:
            yield

    def finish(self) -> None:
        """Stop writing."""
        self._finish.set()
        self.join()
        self._file.close()

    def rename(self) -> None:
        """Rename the file; the writer goes on in the old one for a moment, then opens a new one."""
        shift(self.path)
        self.path.rename(f"{self.path}.1")
        time.sleep(0.1)
        with self._pause():
            self._file.close()
            self._file = self.path.open("ab", buffering=0)
            self.life += 1

    def copy_and_truncate(self) -> None:
        """Copy the file and truncate it; the writer pauses meanwhile."""
        shift(self.path)
        with self._pause():
            shutil.copyfile(self.path, f"{self.path}.1")
            os.truncate(self.path, 0)
            self.life += 1

    def truncate(self, wait_until_held: Callable[[], None]) -> None:
        """Truncate to nothing what was read."""
        with self._pause():
            wait_until_held()
            os.truncate(self.path, 0)
            self.life += 1

    def delete(self, wait_until_held: Callable[[], None]) -> None:
        """Delete what was read, and make the file anew: its inode may be the old one."""
        with self._pause():
            wait_until_held()
            self._file.close()
            self.path.unlink()
            self._file = self.path.open("ab", buffering=0)
            self.life += 1


def shift(path: Path) -> None:
    """`x.2` becomes `x.3`, and so on; none is deleted."""
    number = 1
    while Path(f"{path}.{number}").exists():
        number += 1
    for older in range(number, 1, -1):
        Path(f"{path}.{older - 1}").rename(f"{path}.{older}")
