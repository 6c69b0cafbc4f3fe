"""Damage to the files of parts, as disks do it."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path


def flip(file: Path) -> None:
    """One bit in the middle is another."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def cut(file: Path) -> None:
    """The second half is gone."""
    os.truncate(file, file.stat().st_size // 2)


def remove(file: Path) -> None:
    """All of it is gone."""
    shutil.rmtree(file) if file.is_dir() else file.unlink()


DAMAGE: dict[str, Callable[[Path], None]] = {"flip": flip, "cut": cut, "remove": remove}


def parts(store: Path) -> list[Path]:
    """The directories of a closed store's parts with records, the oldest first."""
    found = [path for path in store.glob("store/*/*/*_*_*_*") if (path / "count.txt").exists()]
    return sorted(found, key=lambda path: int(path.name.split("_")[1]))


def set_aside(store: Path) -> list[str]:
    """The names of what lies aside."""
    return sorted(path.name for path in store.glob("store/*/*/detached/*"))
