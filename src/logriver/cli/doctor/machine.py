"""`logriver doctor`: what it asks of the machine: packages, processor, memory, open files, clock."""

import platform
import re
import resource
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import logriver
from logriver import clock
from logriver.cli.doctor.finding import Finding, fail, ok, warn

ENGINE = "chdb-core"
# What chdb-core is compiled for on x86-64, from its own `system.build_options`: -march=x86-64-v3 -mpclmul. The names
# are those of /proc/cpuinfo (`abm` is LZCNT). Without one of them the process ends with "illegal instruction".
CPU_FEATURES = (
    *("cx16", "lahf_lm", "popcnt", "sse4_1", "sse4_2", "ssse3"),
    *("avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave", "pclmulqdq"),
)

_CPU_INFO = Path("/proc/cpuinfo")
_MEMORY_INFO = Path("/proc/meminfo")
# Measured: a server under full load is at 600 to 800 MB (bench/RESULTS.md); a large query comes on top.
_ADVISED_MEMORY_BYTES = 1_500_000_000
_LEAST_FREE_MEMORY_BYTES = 800_000_000
_ADVISED_OPEN_FILES = 16_384
_LEAST_OPEN_FILES = 1_024
_MB = 1_000_000


def packages() -> Finding:
    """Python, and the packages that the server needs, as they are installed; none is imported."""
    found, missing = [], []
    for name in _required():
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    says = f"logriver {logriver.__version__}, python {platform.python_version()}, {', '.join(found)}"
    if missing:
        advice = "the server needs it: pip install 'logriver[server]'; sending and searching work without"
        return warn("packages", f"{says}; not installed: {', '.join(missing)}", advice)
    return ok("packages", says)


def _required() -> list[str]:
    """The packages that logriver and its server ask for."""
    return sorted({match[0] for line in requires("logriver") or [] if (match := re.match(r"[\w.-]+", line))})


def processor() -> Finding:
    """Whether the engine's machine code runs here."""
    machine = platform.machine()
    if machine != "x86_64":
        return warn("processor", f"{machine}: what the engine needs is known for x86_64 only", "try `logriver demo`")
    lines = _CPU_INFO.read_text().splitlines()
    flags = next((set(line.partition(":")[2].split()) for line in lines if line.startswith("flags")), set[str]())
    missing = [feature for feature in CPU_FEATURES if feature not in flags]
    if missing:
        advice = (
            "the engine needs x86-64-v3 (Intel Haswell, AMD Excavator or newer); give a virtual machine the host's CPU"
        )
        return fail("processor", f"lacks {' '.join(missing)}", advice)
    return ok("processor", f"has what the engine is compiled for: {' '.join(CPU_FEATURES)}")


def memory(setting_bytes: int) -> Finding:
    """What the machine or the control group gives, what is free, and what the engine would take of it."""
    from logriver.store.memory import engine_memory_bytes, machine_memory_bytes

    given = machine_memory_bytes()
    free = min(given, _available_bytes())
    engine = engine_memory_bytes(setting_bytes)
    says = f"{given // _MB} MB, {free // _MB} MB free, the engine takes up to {engine // _MB} MB"
    if given < _ADVISED_MEMORY_BYTES:
        return warn(
            "memory", says, "give the machine or the control group 1.5 GB, or expect it to be killed under load"
        )
    if free < _LEAST_FREE_MEMORY_BYTES:
        return warn("memory", says, "a busy server takes 800 MB; stop something else")
    return ok("memory", says)


def _available_bytes() -> int:
    text = _MEMORY_INFO.read_text()
    found = re.search(r"^MemAvailable:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def open_files() -> Finding:
    """The limit that a server raises itself to: the hard one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        return ok("open files", "no limit")
    says = f"up to {hard} (the server raises its own limit from {soft} to that)"
    advice = (
        f"raise it to {_ADVISED_OPEN_FILES}: LimitNOFILE= in the unit, or `ulimit -Hn` as root; a connection takes one"
    )
    if hard < _LEAST_OPEN_FILES:
        return fail("open files", says, advice)
    if hard < _ADVISED_OPEN_FILES:
        return warn("open files", says, advice)
    return ok("open files", says)


def wall_clock(data: Path) -> Finding:
    """Whether the clock can be right: not before the program was installed, not before what the server wrote last."""
    now_ns = clock.now_ns()
    east = clock.local_offset_seconds(now_ns)
    zone = f"{'-' if east < 0 else '+'}{abs(east) // 3600:02}:{abs(east) // 60 % 60:02}"
    says = f"{clock.to_text(now_ns // clock.SECOND_NS * clock.SECOND_NS)}, times without a zone in files are {zone}"
    installed = Path(logriver.__file__).stat().st_mtime_ns
    if now_ns < installed - clock.SECOND_NS:
        return fail("clock", f"{says}; logriver was installed later than that", "set the clock")
    newest = _newest(data)
    if newest and newest[0] > now_ns + clock.SECOND_NS:
        seconds = (newest[0] - now_ns) // clock.SECOND_NS
        return warn("clock", f"{says}; '{newest[1]}' was written {seconds} s later than that", "set the clock")
    return ok("clock", says)


def _newest(data: Path) -> tuple[int, Path] | None:
    """The newest file of a data directory that the server itself writes, with its time."""
    times = []
    for path in (*data.glob("*"), *data.glob("log/*")):
        try:
            times.append((path.stat().st_mtime_ns, path))
        except OSError:
            # It went since it was listed, or is not ours to read; the check of the directory says so.
            continue
    return max(times, default=None)
