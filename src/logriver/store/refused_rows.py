"""Which row of a block the engine cannot read, and which value of it, in words that may be shown. Pure.

The engine is asked about halves, and about the columns of a row one by one: what it says itself names files and
settings that nobody but it knows.
"""

from collections.abc import Callable, Sequence

from logriver.columns import ROW_COLUMNS, Column

Reads = Callable[[Sequence[Column], bytes], bool]
"""Whether the engine can read rows of these columns; they are not stored. May raise `StoreError`."""

_SHOWN_BYTES = 60


def first_refused(rows: bytes, reads: Reads) -> int | None:
    """The number (from 0) of the first row that cannot be read; None if all can."""
    lines = [line + b"\n" for line in rows.split(b"\n")[:-1]]
    good, bad = 0, len(lines)
    while bad - good > 1:
        middle = (good + bad) // 2
        if reads(ROW_COLUMNS, b"".join(lines[good:middle])):
            good = middle
        else:
            bad = middle
    return None if not lines or reads(ROW_COLUMNS, lines[good]) else good


def reason(row: bytes, reads: Reads) -> str:
    """Why a row, which cannot be read, cannot."""
    values = row.split(b"\t")
    if len(values) != len(ROW_COLUMNS):
        return f"cannot parse a row of {len(values)} columns, it should have {len(ROW_COLUMNS)}"
    for column, value in zip(ROW_COLUMNS, values, strict=True):
        if not reads([column], value + b"\n"):
            shown = value[:_SHOWN_BYTES].decode(errors="replace")
            return f"cannot parse {column.name} {shown!r}"
    return "cannot parse a value of it"
