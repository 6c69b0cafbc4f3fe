"""`logriver doctor`: parts of the store that cannot be read, and those that are set aside.

Every part is read by the engine, in a copy of the directory that has links in the place of the parts' files, so that
nothing is changed whatever the engine does about damage.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from logriver.cli.doctor.finding import Finding, fail, ok, warn

_NAME = "parts"
# Runs in a process of its own: the engine is loaded for it, and ends with it. Gives one line for each part.
_CHECK = """
import sys
from logriver.columns import TABLE
from logriver.store.engine import Session
session = Session(sys.argv[1])
session.query(f"SYSTEM STOP MERGES {TABLE}")
session.query(f"SYSTEM STOP CLEANUP {TABLE}")
sql = f"CHECK TABLE {TABLE} SETTINGS check_query_single_value_result = 0"
sys.stdout.buffer.write(session.query(sql, "TabSeparated").bytes())
"""


def parts(data: Path, is_served: bool) -> list[Finding]:
    """What is set aside; and where nobody serves the directory, what of the rest cannot be read."""
    from logriver.store.set_aside import SetAsideParts

    store = data / "store"
    tables = [part.parent for part in store.glob("store/*/*/detached")]
    aside = [part for table in tables for part in SetAsideParts(table).look()]
    findings = [
        warn(
            _NAME,
            f"{part} is damaged and set aside: answers are without it",
            f"restore it from a backup; to give its records up: rm -r '{part.directory}'",
        )
        for part in aside
    ]
    if is_served:
        return findings or [ok(_NAME, "none is set aside; the server reads each from time to time")]
    there = [path for table in tables for path in table.glob("*_*_*_*") if (path / "count.txt").exists()]
    if not there and not tables:
        return []
    return [*findings, *_checked(store, tables)]


def _checked(store: Path, tables: list[Path]) -> Iterator[Finding]:
    from logriver.store.set_aside import described_part

    with tempfile.TemporaryDirectory() as copy:
        links = Path(copy) / "store"
        _link(store, links)
        done = subprocess.run([sys.executable, "-c", _CHECK, str(links)], capture_output=True, text=True, check=False)
        if done.returncode:
            advice = "install what a server needs: pip install 'logriver[server]'"
            yield warn(_NAME, "they cannot be read here", advice)
            return
        rows = [line.split("\t") for line in done.stdout.splitlines()]
        broken = {name for name, passed, *_ in rows if passed != "1"}
        # What the engine does not even load it sets aside, in the copy.
        broken |= {part for copied in links.glob("store/*/*/detached") for part in _set_aside(copied.parent)}
        broken -= {part for table in tables for part in _set_aside(table)}
    for table in tables:
        for part in sorted(table / name for name in broken if (table / name).is_dir()):
            aside = table / "detached" / f"broken_{part.name}"
            yield fail(
                _NAME,
                f"{described_part(part)} is damaged",
                f"restore it from a backup; the server sets it aside when it reads it, or now: mv '{part}' '{aside}'",
            )
    if not broken:
        yield ok(_NAME, f"{len(rows)} part{'' if len(rows) == 1 else 's'}, all of them can be read")


def _set_aside(table: Path) -> set[str]:
    from logriver.store.set_aside import SetAsideParts

    return {part.part for part in SetAsideParts(table).look()}


def _link(source: Path, copy: Path) -> None:
    """Make a tree of directories like `source`: files of parts are links, the others copies."""
    for path in sorted(source.rglob("*")):
        place = copy / path.relative_to(source)
        if path.is_symlink():
            place.symlink_to(path.readlink())
        elif path.is_dir():
            place.mkdir(parents=True, exist_ok=True)
        elif _is_of_part(path):
            place.symlink_to(path.absolute())
        else:
            place.write_bytes(path.read_bytes())


def _is_of_part(path: Path) -> bool:
    return any(parent.name.count("_") >= 3 for parent in path.parents)
