"""How much memory the engine may use: the setting, else a share of what there is."""

import os
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUP = Path("/proc/self/cgroup")
_OLD_CGROUP_LIMIT = _CGROUPS / "memory" / "memory.limit_in_bytes"
_SHARE = 4
_LEAST_BYTES = 600_000_000


def engine_memory_bytes(setting_bytes: int) -> int:
    """The engine's limit in bytes; `setting_bytes` if given, else a quarter, but enough to merge and search."""
    if setting_bytes:
        return setting_bytes
    return max(_LEAST_BYTES, machine_memory_bytes() // _SHARE)


def machine_memory_bytes() -> int:
    """Physical memory, or the limit of a control group that this process is in where that is less."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for file in (*_cgroup_limits(), _OLD_CGROUP_LIMIT):
        if file.exists():
            text = file.read_text().strip()
            if text.isdigit():
                limits.append(int(text))
    return min(limits)


def _cgroup_limits() -> list[Path]:
    """Of the own group and of those around it, up to the root: a container's limit or a unit's `MemoryMax=`."""
    if not _OWN_CGROUP.exists():
        return []
    named = (line.removeprefix("0::/") for line in _OWN_CGROUP.read_text().splitlines() if line.startswith("0::/"))
    own = _CGROUPS / next(named, "")
    return [group / "memory.max" for group in (own, *own.parents) if group.is_relative_to(_CGROUPS)]
