"""Whether what lies in a data directory belongs together: the node's name, log, state and store.

Each of them knows something that the others rely on: numbers that were given out, what is stored already, how far each
file was read. With one of them missing, or of another directory, records would be stored twice or taken for stored. So
the start is refused before anything is touched, and says what to do. Whoever has lost one for good goes on without it
by leaving something empty in its place, on purpose.
"""

from collections.abc import Collection
from pathlib import Path

from logriver.errors import DataDirectoryError

_TOGETHER = "NODE, log/, state.db and store/ belong together: restore all of them from the same backup"


def check_together(path: Path, log_nodes: Collection[str]) -> None:
    """Raises `DataDirectoryError` if something is missing; `log_nodes` are the names in the segments of the log."""
    state, stored = (path / "state.db").exists(), has_parts(path)
    logged = any((path / "log").glob("*.log"))
    _check_node(path, log_nodes, is_new=not (state or stored or logged))
    if not state and (stored or logged):
        beside = "store/" if stored else "log/"
        raise DataDirectoryError(
            f"data directory '{path}': state.db is missing beside {beside}",
            hint=f"{_TOGETHER}; if it is lost, an empty file 'state.db' lets the server start: "
            f"followed files are read again then, and what comes from them may be there twice",
        )
    if state and not (path / "store").is_dir():
        raise DataDirectoryError(
            f"data directory '{path}': store/ is missing beside state.db",
            hint=f"{_TOGETHER}; if its records are lost, an empty directory 'store' lets the server start without them",
        )
    if state and stored and not (path / "log").is_dir():
        raise DataDirectoryError(
            f"data directory '{path}': log/ is missing beside state.db and store/",
            hint=f"{_TOGETHER}; if it is lost, an empty directory 'log' lets the server start without what waited",
        )


def has_parts(path: Path) -> bool:
    """Whether the store of a data directory has parts with records, or had."""
    return any(part.is_dir() for part in (path / "store" / "store").glob("*/*/*_*_*_*"))


def _check_node(path: Path, log_nodes: Collection[str], is_new: bool) -> None:
    file = path / "NODE"
    if not file.exists():
        if is_new:
            return
        name = next(iter(log_nodes), None)
        advice = f"{_TOGETHER}; NODE is one word, the node's name"
        raise DataDirectoryError(
            f"data directory '{path}': NODE is missing beside the records of its node",
            hint=f"write the name back: echo {name} > '{file}'" if name else advice,
        )
    node = file.read_text(errors="replace").strip()
    others = sorted(name for name in log_nodes if name != node)
    if others:
        raise other_node(path, node, "log/", others[0])


def other_node(path: Path, node: str, place: str, found: str) -> DataDirectoryError:
    """The error for a `place` in the directory that was written by the node `found`."""
    return DataDirectoryError(
        f"data directory '{path}': NODE says {node[:40]!r}, and {place} is of node {found[:40]!r}",
        hint=f"{_TOGETHER}; if only NODE is wrong: echo {found[:40]} > '{path / 'NODE'}'",
    )
