"""What is remembered of promoted fields: `promoted.json` in the data directory, written aside, fsynced and renamed."""

from pathlib import Path
from typing import Literal

import msgspec

from logriver.errors import DataDirectoryError
from logriver.store.directory import write_durably

FILE = "promoted.json"

By = Literal["setting", "call", "use"]


class Remembered(msgspec.Struct, frozen=True):
    """A field that was promoted by a call or by use, and when a query last read it (nanoseconds since the epoch)."""

    key: str
    by: Literal["call", "use"]
    last_used_ns: int


class MaterializedFile:
    """The file. It is not there until something is remembered."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE

    def read(self) -> list[Remembered]:
        """What was written last. Raises `DataDirectoryError`."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=list[Remembered])
        except FileNotFoundError:
            return []
        except (OSError, msgspec.MsgspecError) as error:
            raise DataDirectoryError(
                f"'{self._path}' cannot be read: {error}",
                hint="remove it: fields promoted by calls and by use are then forgotten, no record is",
            ) from None

    def write(self, fields: list[Remembered]) -> None:
        """Durable on return. Raises `OSError`."""
        write_durably(self._path, msgspec.json.format(msgspec.json.encode(fields), indent=1) + b"\n")
