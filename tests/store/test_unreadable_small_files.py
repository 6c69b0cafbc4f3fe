"""A small file of the data directory that is not what it should be: the start says which one, and what to do."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from logriver.auth.token import kept_token
from logriver.errors import DataDirectoryError, LogriverError, SettingsError
from logriver.store.directory import open_directory

NO_TEXT = b"\xff\xfe\n"


def opened(path: Path) -> None:
    open_directory(path, lambda _: {"abc123"})


def token(path: Path) -> None:
    kept_token(path / "TOKEN")


@pytest.mark.parametrize(
    ("name", "content", "start", "error", "said"),
    [
        ("FORMAT", NO_TEXT, opened, DataDirectoryError, "which is no version"),
        ("FORMAT", "²\n".encode(), opened, DataDirectoryError, "which is no version"),
        ("FORMAT", b"9" * 5_000, opened, DataDirectoryError, "which is no version"),
        ("FORMAT", b"", opened, DataDirectoryError, "which is no version"),
        ("FORMAT", b"0\n", opened, DataDirectoryError, "which is no version"),
        ("NODE", NO_TEXT, opened, DataDirectoryError, "log/ is of node 'abc123'"),
        ("NODE", b"", opened, DataDirectoryError, "log/ is of node 'abc123'"),
        ("TOKEN", NO_TEXT, token, SettingsError, "is not text"),
        ("TOKEN", b"\n", token, SettingsError, "there is no token"),
    ],
)
def test_a_damaged_small_file_is_named(
    tmp_path: Path, name: str, content: bytes, start: Callable[[Path], None], error: type[LogriverError], said: str
) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    file.chmod(0o600)
    with pytest.raises(error, match=said) as raised:
        start(tmp_path)
    assert name in str(raised.value)
    assert file.read_bytes() == content


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
@pytest.mark.parametrize(
    ("name", "start", "error"),
    [("FORMAT", opened, DataDirectoryError), ("NODE", opened, DataDirectoryError), ("TOKEN", token, SettingsError)],
)
def test_what_is_no_file_is_named_and_nobody_waits_for_it(
    tmp_path: Path,
    make: Callable[[Path], None],
    name: str,
    start: Callable[[Path], None],
    error: type[LogriverError],
) -> None:
    make(tmp_path / name)
    with pytest.raises(error, match="is not a file") as raised:
        start(tmp_path)
    assert name in str(raised.value)
