"""Damaged parts that are set aside: directories beside the parts of the table, which no query reads.

The engine sets aside what it cannot load at a start, Logriver what it cannot read later (`damage.py`). They lie in
`detached/` of the table until somebody takes them away, or retention removes the records of their time.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

DETACHED = "detached"
_NAME = re.compile(r"(?:(?:broken|broken-on-start)_)?((\d+)_(\d+)_(\d+)_\d+(?:_\d+)?)(?:_try\d+)?")


@dataclass(frozen=True, slots=True)
class SetAside:
    """One part, in its directory; `records` is None where its own count cannot be read."""

    directory: Path
    part: str
    partition: int
    first_block: int
    last_block: int
    records: int | None
    bytes: int

    def __str__(self) -> str:
        return described(self.part, self.bytes, self.records)


def described(part: str, size: int, records: int | None) -> str:
    """A part in words."""
    count = "an unknown number of records" if records is None else counted(records, "record")
    return f"part {part} ({size / 1e6:.1f} MB, {count})"


def counted(number: int, noun: str) -> str:
    """Such as `1 record` or `4,000 records`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def missing(counts: Iterable[int | None]) -> str:
    """What answers are without, as one sentence, from the records of each part that is set aside."""
    counts = list(counts)
    known = [records for records in counts if records is not None]
    least = "at least " if len(known) < len(counts) else ""
    are = "is" if len(counts) == 1 else "are"
    return f"{counted(len(counts), 'damaged part')} with {least}{counted(sum(known), 'record')} {are} set aside"


class SetAsideParts:
    """The parts that are set aside of the table in the directory `table`, as `look` found them."""

    def __init__(self, table: Path) -> None:
        self._directory = table / DETACHED
        self._found: dict[str, SetAside] = {}

    @property
    def parts(self) -> tuple[SetAside, ...]:
        """Those of the last look, in the order of their names."""
        return tuple(self._found.values())

    def look(self) -> tuple[SetAside, ...]:
        """List the directory again; costs little where nothing changed. Raises `OSError`."""
        try:
            names = sorted(path.name for path in self._directory.iterdir())
        except FileNotFoundError:
            names = []
        found: dict[str, SetAside] = {}
        for name in names:
            part = self._found.get(name) or _read(self._directory / name)
            if part is not None:
                found[name] = part
        self._found = found
        return self.parts


def described_part(directory: Path) -> str:
    """A part in words, from its files."""
    sizes = [file.stat().st_size for file in directory.rglob("*") if file.is_file()]
    return described(directory.name, sum(sizes), _records(directory))


def _read(directory: Path) -> SetAside | None:
    """None where it is no part, or gone meanwhile."""
    name = _NAME.fullmatch(directory.name)
    if name is None or not directory.is_dir():
        return None
    sizes = [file.stat().st_size for file in directory.rglob("*") if file.is_file()]
    return SetAside(directory, name[1], int(name[2]), int(name[3]), int(name[4]), _records(directory), sum(sizes))


def _records(directory: Path) -> int | None:
    try:
        text = (directory / "count.txt").read_bytes().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None
