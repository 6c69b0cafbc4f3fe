"""Memory: how much the engine may use (the setting, else a share of what there is), and giving back what is free."""

import ctypes
import os
from pathlib import Path

_CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
_SHARE = 4
_LEAST_BYTES = 600_000_000


def engine_memory_bytes(setting_bytes: int) -> int:
    """The engine's limit in bytes; `setting_bytes` if given, else a quarter, but enough to merge and search."""
    if setting_bytes:
        return setting_bytes
    return max(_LEAST_BYTES, machine_memory_bytes() // _SHARE)


def machine_memory_bytes() -> int:
    """Physical memory, or the cgroup's limit where that is less."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for file in _CGROUP_LIMITS:
        if file.exists():
            text = file.read_text().strip()
            if text.isdigit():
                limits.append(int(text))
    return min(limits)


def give_back_memory() -> None:
    """Return freed memory to the machine. The C library keeps what large bodies and blocks left; takes milliseconds."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
