"""What the figures were measured on: without it they mean nothing."""

import os
import platform
import statistics
import subprocess
import time
from importlib.metadata import version
from pathlib import Path

from bench.client import ROOT

_SYNCS = 100


def describe(folder: Path) -> list[str]:
    """Machine, software and the disk below `folder`, one fact a line."""
    processor = _after("model name", Path("/proc/cpuinfo"))
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    software = f"Python {platform.python_version()}, chdb-core {version('chdb-core')}"
    return [
        f"{processor}, {os.cpu_count()} cores, {memory_gb:.0f} GB",
        f"{platform.system()} {platform.release()}, {software}",
        f"{_file_system(folder)}, write and fdatasync of 4 kB takes {sync_ms(folder):.2f} ms (median)",
        f"commit {_commit()}",
    ]


def sync_ms(folder: Path) -> float:
    """Milliseconds that appending 4 kB to a file and `fdatasync` take, the median."""
    path = folder / "sync"
    taken = []
    with path.open("wb", buffering=0) as file:
        for _ in range(_SYNCS):
            began = time.perf_counter()
            file.write(bytes(4096))
            os.fdatasync(file.fileno())
            taken.append(time.perf_counter() - began)
    path.unlink()
    return statistics.median(taken) * 1000


def _after(name: str, path: Path) -> str:
    for line in path.read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return platform.machine()


def _file_system(folder: Path) -> str:
    """The type of the file system that holds `folder`: the mount with the longest matching path."""
    best, kind = "", "unknown file system"
    for line in Path("/proc/mounts").read_text().splitlines():
        _, mount, type_, *_ = line.split()
        if folder.resolve().is_relative_to(mount) and len(mount) >= len(best):
            best, kind = mount, type_
    return kind


def _commit() -> str:
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=10"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        return "unknown"
    return described.stdout.strip() or "unknown"
