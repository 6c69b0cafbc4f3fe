"""`logriver doctor`: the data directory, its disk, and the files that are to be followed."""

import os
import pwd
import re
import shutil
import stat
import statistics
import tempfile
import time
from pathlib import Path

from logriver.cli.doctor.finding import Finding, fail, ok, warn
from logriver.errors import DataDirectoryError, SettingsError
from logriver.follow.journal import journals_of
from logriver.follow.paths import PathPattern, path_patterns
from logriver.settings import FollowSettings

_NETWORK = frozenset(
    ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre", "gpfs", "ocfs2")
)
_IN_MEMORY = frozenset(("tmpfs", "ramfs"))
_SYNCS = 20
_SLOW_SYNC_MS = 25.0
_LEAST_FREE_BYTES = 1_000_000_000
_LEAST_FREE_FILES = 10_000
_ADVISED_WATCHES = 8_192
_LOCKS = Path("/proc/locks")
_MOUNTS = Path("/proc/self/mountinfo")
_WATCHES = Path("/proc/sys/fs/inotify/max_user_watches")
_GB = 1_000_000_000


def directory(data: Path) -> Finding:
    """Whether a server can take the directory: place, owner, mode, format. Nothing in it is touched."""
    name = "data directory"
    try:
        if not data.exists():
            return _not_there(data)
        status = data.stat()
        empty = not any(data.iterdir()) if data.is_dir() else True
    except OSError as error:
        return fail(name, f"'{data}' cannot be read by {user()}: {error.strerror}", "run the server as its owner")
    if not stat.S_ISDIR(status.st_mode):
        return fail(name, f"'{data}' is not a directory", "choose another with --data")
    if not os.access(data, os.W_OK | os.X_OK):
        return fail(name, f"'{data}' cannot be written by {user()}", "run the server as its owner")
    problem = _format_problem(data, empty) or _does_not_belong(data)
    if problem:
        return problem
    says = f"'{data}', data format {_format(data) or 'none yet'}"
    if status.st_uid != os.geteuid():
        return warn(name, f"{says}, belongs to user {status.st_uid}", "run the server as its owner, or chown it")
    if status.st_mode & 0o077:
        advice = f"others can read the logs: chmod 700 '{data}'"
        return warn(name, f"{says}, mode {stat.S_IMODE(status.st_mode):04o}", advice)
    return ok(name, f"{says}, owner {user()}, mode {stat.S_IMODE(status.st_mode):04o}")


def _not_there(data: Path) -> Finding:
    parent = existing(data)
    if not os.access(parent, os.W_OK | os.X_OK):
        return fail("data directory", f"'{data}' cannot be made: {user()} cannot write in '{parent}'", "choose another")
    return ok("data directory", f"'{data}' is not there yet, the first start makes it")


def _format_problem(data: Path, empty: bool) -> Finding | None:
    """A newer format, none that can be read, or the files of something else."""
    from logriver.store.migrations.data_format import FORMAT

    found = _format(data)
    if found is None:
        if empty:
            return None
        return warn("data directory", f"'{data}' is not empty and has no FORMAT", "choose one that is Logriver's alone")
    if not found.isdigit():
        return fail("data directory", f"'{data}': FORMAT says {found[:40]!r}", "restore it from a backup")
    if int(found) > FORMAT:
        says = f"'{data}' has data format {found}, this version reads up to {FORMAT}"
        return fail("data directory", says, "use the newer version of logriver")
    return None


def _does_not_belong(data: Path) -> Finding | None:
    """Parts of the directory are missing, or of another one."""
    from logriver.queue.segment_files import nodes_of
    from logriver.store.belonging import check_together

    try:
        check_together(data, nodes_of(data / "log"))
    except DataDirectoryError as error:
        return fail("data directory", error.message, error.hint or "")
    except OSError as error:
        return fail("data directory", f"'{data}' cannot be read: {error.strerror}", "run the doctor as its owner")
    return None


def _format(data: Path) -> str | None:
    try:
        return (data / "FORMAT").read_text(errors="replace").strip()
    except OSError:
        return None


def lock_holder(data: Path) -> int | None:
    """The process that has the directory, None if there is none. Read from the kernel's list, without locking.

    Even a lock of a moment would make a server that starts in that moment refuse.
    """
    try:
        inode = (data / "LOCK").stat().st_ino
        locks = _LOCKS.read_text().splitlines()
    except OSError:
        return None
    committed = (re.search(rf" FLOCK .* WRITE (-?\d+) \w+:\w+:{inode} ", line) for line in locks)
    return next((int(found[1]) for found in committed if found), None)


def lock(data: Path) -> Finding:
    """Who has the directory now."""
    holder = lock_holder(data)
    return ok("lock", "not in use" if holder is None else f"in use by process {holder}: it is being served")


def disk(data: Path, backlog_bytes: int) -> Finding:
    """The file system below the directory: its kind and its space."""
    folder = existing(data)
    kind, mount = _file_system(folder)
    space = os.statvfs(folder)
    free = space.f_bavail * space.f_frsize
    says = f"{kind} at '{mount}', {free / _GB:.1f} GB of {space.f_blocks * space.f_frsize / _GB:.1f} GB free"
    if kind in _NETWORK or kind.startswith("fuse"):
        advice = "use a local disk: locks and fsync over a network do not always hold what they promise"
        return warn("disk", says, advice)
    if kind in _IN_MEMORY:
        return warn("disk", says, "this is memory, and gone when the machine restarts")
    if kind == "overlay":
        return warn("disk", says, "this goes with the container: mount a volume there")
    if free < _LEAST_FREE_BYTES:
        return fail("disk", says, "make 1 GB free: it stops taking logs before the disk is full")
    if free < 2 * backlog_bytes:
        advice = f"a backlog may grow to {backlog_bytes / _GB:.1f} GB (max_backlog_bytes) and is merged beside itself"
        return warn("disk", says, advice)
    if space.f_files > 0 and space.f_favail < _LEAST_FREE_FILES:
        return warn("disk", f"{says}, {space.f_favail} files more", "make some inodes free")
    return ok("disk", says)


def fsync(data: Path) -> Finding:
    """How long it takes until 4 kB are on disk, measured with a file that has no name and leaves nothing."""
    folder = existing(data)
    taken = []
    try:
        with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
            for _ in range(_SYNCS):
                began = time.perf_counter()
                file.write(bytes(4096))
                os.fdatasync(file.fileno())
                taken.append(time.perf_counter() - began)
    except OSError as error:
        return fail("fsync", f"'{folder}' cannot be written: {error.strerror}", "run this as the server's user")
    median, worst = statistics.median(taken) * 1000, max(taken) * 1000
    says = f"{median:.2f} ms (median), {worst:.2f} ms (longest of {_SYNCS})"
    if median > _SLOW_SYNC_MS:
        return warn("fsync", says, "every answer waits for one; put the data on a faster disk")
    return ok("fsync", says)


def existing(path: Path) -> Path:
    """The path, or the nearest directory above it that is there."""
    path = path.absolute()
    return next(folder for folder in (path, *path.parents) if folder.is_dir())


def _file_system(path: Path) -> tuple[str, str]:
    """Type and mount point: of the mounts above the path the longest, of two in one place the later."""
    best, kind = "", "unknown file system"
    for line in _MOUNTS.read_text().splitlines():
        mount = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), line.split()[4])
        if path.resolve().is_relative_to(mount) and len(mount) >= len(best):
            best, kind = mount, line.partition(" - ")[2].split()[0]
    return kind, best


def followed(settings: FollowSettings) -> list[Finding]:
    """What is followed can be: directories can be searched, files read, `journalctl` is there."""
    try:
        sources, journals = path_patterns(settings), journals_of(settings)
    except SettingsError as error:
        return [fail("follow", error.message, error.hint or "")]
    findings = [_journal()] if journals else []
    return findings + [finding for source in sources for finding in _followed(source)]


def _journal() -> Finding:
    if shutil.which("journalctl") is None:
        return fail("follow", "journalctl is not there, which reads the journal", "install systemd's journalctl")
    return ok("follow", "journalctl is there")


def _followed(source: PathPattern) -> list[Finding]:
    closed = _closed_directory(source.path)
    if closed:
        advice = f"setfacl -m u:{user()}:rx '{closed}', or put the server's user into its group"
        return [fail("follow", f"'{closed}' cannot be searched by {user()}", advice)]
    unreadable = [finding for file in source.files() if (finding := _unreadable(file.path))]
    if unreadable:
        return unreadable
    count = sum(1 for _ in source.files())
    if not count:
        return [_nothing_yet(source)]
    return [ok("follow", f"'{source.path}': {count} file{'s' if count > 1 else ''}, readable by {user()}")]


def _nothing_yet(source: PathPattern) -> Finding:
    if not source.directory().is_dir():
        return warn("follow", f"'{source.path}': '{source.directory()}' is not there", "check the path")
    return warn("follow", f"'{source.path}': no such file yet", "it is followed as soon as it appears; check the path")


def _unreadable(path: Path) -> Finding | None:
    try:
        # Opened, because permissions, access lists and security modules are all asked then; not waiting for a pipe.
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError as error:
        advice = f"setfacl -m u:{user()}:r '{path}', or put the server's user into its group"
        return fail("follow", f"'{path}' cannot be read by {user()}: {error.strerror}", advice)
    return None


def _closed_directory(path: Path) -> Path | None:
    """The first directory on the way to a path (which may have wildcards) that this user cannot go through or list.

    One that is only on the way need not be listed.
    """
    for folder in (*reversed(path.parents), path):
        need = os.X_OK if folder in path.parents else os.X_OK | os.R_OK
        try:
            if folder.is_dir() and not os.access(folder, need):
                return folder
        except OSError:
            return folder.parent
        if any(character in folder.name for character in "*?["):
            return None if os.access(folder.parent, os.R_OK | os.X_OK) or not folder.parent.is_dir() else folder.parent
    return None


def file_events() -> Finding:
    """Whether the kernel lets one user watch enough files and directories."""
    try:
        watches = int(_WATCHES.read_text())
    except (OSError, ValueError):
        return warn(
            "file events", "the kernel does not say how many may be watched", "followed files are looked at each second"
        )
    if watches < _ADVISED_WATCHES:
        return warn(
            "file events", f"{watches} watches a user", f"sysctl fs.inotify.max_user_watches={_ADVISED_WATCHES}"
        )
    return ok("file events", f"{watches} watches a user")


def user() -> str:
    """The name of the user whose permissions count, or the number where there is no name."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
