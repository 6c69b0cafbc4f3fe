"""What a process and its children use, from `/proc`: CPU by thread name, resident memory, bytes of a directory.

The engine's background merges run in threads that are named for it, so their CPU can be told from the rest of the same
run; stopping them would measure another server.
"""

import os
import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

MERGE_THREADS = "MergeMutate"
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_UTIME, _STIME = 11, 12


@dataclass(frozen=True, slots=True)
class Cpu:
    """CPU seconds since the start of the processes; `by_thread` has the threads that still live, by name."""

    seconds: float
    by_thread: dict[str, float]

    def since(self, before: "Cpu") -> "Cpu":
        """What was used after `before` was taken."""
        by_thread = {name: used - before.by_thread.get(name, 0.0) for name, used in self.by_thread.items()}
        return Cpu(self.seconds - before.seconds, by_thread)

    @property
    def merge_seconds(self) -> float:
        """CPU seconds of the engine's background merges."""
        return self.by_thread.get(MERGE_THREADS, 0.0)


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes: resident, the anonymous part of it (the rest is mapped files, mostly the engine's code), highest ever."""

    resident: int = 0
    anonymous: int = 0
    peak: int = 0


def cpu(pid: int) -> Cpu:
    """CPU of the process `pid` and its children."""
    seconds, by_thread = 0.0, dict[str, float]()
    for each in _family(pid):
        seconds += _cpu_seconds(Path(f"/proc/{each}/stat"))
        for task in Path(f"/proc/{each}/task").iterdir():
            try:
                name = (task / "comm").read_text().strip()
                by_thread[name] = by_thread.get(name, 0.0) + _cpu_seconds(task / "stat")
            except (FileNotFoundError, ProcessLookupError):
                continue  # the thread ended between listing and reading
    return Cpu(seconds, by_thread)


def memory(pid: int) -> Memory:
    """Memory of the process `pid` and its children."""
    total: Counter[str] = Counter()
    for each in _family(pid):
        for line in Path(f"/proc/{each}/status").read_text().splitlines():
            name, _, value = line.partition(":")
            if name in ("VmRSS", "RssAnon", "VmHWM"):
                total[name] += int(value.split()[0]) * 1024
    return Memory(total["VmRSS"], total["RssAnon"], total["VmHWM"])


def directory_bytes(path: Path) -> int:
    """Bytes that the files below `path` take on disk; a file that vanishes meanwhile counts nothing."""
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            try:
                total += (Path(folder) / name).lstat().st_blocks * 512
            except FileNotFoundError:
                continue
    return total


class MemoryWatch:
    """Watches the anonymous memory of a process while a `with` block runs; `peak_anonymous` is the highest seen."""

    def __init__(self, pid: int) -> None:
        self.peak_anonymous = 0
        self._pid = pid
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="memory-watch")

    def __enter__(self) -> "MemoryWatch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.1):
            self.peak_anonymous = max(self.peak_anonymous, memory(self._pid).anonymous)


def _family(pid: int) -> list[int]:
    family = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            children = (task / "children").read_text().split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        for child in children:
            family += _family(int(child))
    return family


def _cpu_seconds(stat: Path) -> float:
    # The name in brackets may hold spaces; the fields after it are counted from "state", proc(5).
    fields = stat.read_text().rpartition(")")[2].split()
    return (int(fields[_UTIME]) + int(fields[_STIME])) / _TICKS_PER_SECOND
