"""`logriver doctor`: damage to the log that a server found and nobody has acknowledged."""

import sqlite3
from pathlib import Path

from logriver.cli.doctor.finding import Finding, fail, ok
from logriver.queue.damage import open_damage

_ADVICE = "look after the disk; then acknowledge it on the status page or by POST /api/v1/damage/{}/acknowledge"


def damage(data: Path) -> list[Finding]:
    """One finding for each damage; none where there was no server yet."""
    file = data / "state.db"
    if not file.exists():
        return []
    try:
        found = open_damage(file)
    except sqlite3.Error as error:
        return [fail("damage", f"'{file}' cannot be read: {error}", "restore it from a backup")]
    return [fail("damage", str(one), _ADVICE.format(one.id)) for one in found] or [ok("damage", "none of the log")]
