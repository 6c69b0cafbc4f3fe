"""Migrations: together they give what a fresh directory has, a kill loses nothing, and what is newer is refused."""

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from logriver.errors import DataDirectoryError
from logriver.queue.state import State
from logriver.store import ddl
from logriver.store.directory import open_directory
from logriver.store.engine import Session
from logriver.store.migrations.convert import convert
from logriver.store.migrations.data_format import FORMAT, MIGRATIONS
from tests.conftest import RunningServer
from tests.store.test_kept_directories import KEPT, unpack


def shape(file: Path) -> dict[str, object]:
    """Tables, their columns and indexes, whatever the statements look like that made them."""
    with closing(sqlite3.connect(file)) as db:
        tables = {name: kind for _, name, kind, *_ in db.execute("PRAGMA table_list") if not name.startswith("sqlite_")}
        without_rowid = {name: wr for _, name, _, _, wr, _ in db.execute("PRAGMA table_list") if name in tables}
        return {
            name: (
                without_rowid[name],
                [row[1:] for row in db.execute(f"PRAGMA table_xinfo({name})")],
                sorted(
                    (unique, origin, [column[2] for column in db.execute(f"PRAGMA index_info({index})")])
                    for _, index, unique, origin, _ in db.execute(f"PRAGMA index_list({name})")
                ),
            )
            for name in tables
        }


def test_all_migrations_give_the_schema_of_the_queue(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "migrated.db", isolation_level=None)) as db:
        for migration in MIGRATIONS:
            migration.state(db)
    State(tmp_path / "fresh.db", 1_000).close()
    assert shape(tmp_path / "migrated.db") == shape(tmp_path / "fresh.db")
    assert len(shape(tmp_path / "fresh.db")) >= 7


def test_all_migrations_give_the_schema_of_the_table(tmp_path: Path) -> None:
    def made_by(statements: list[str], name: str) -> str:
        with closing(Session(str(tmp_path / name))) as session:
            for statement in statements:
                session.query(statement)
            return str(session.query("SHOW CREATE TABLE logs", "TabSeparatedRaw"))

    size = ", max_bytes_to_merge_at_max_space_in_pool = 424242"
    fresh = made_by([ddl.create_table(424_242)], "fresh")
    assert size in fresh
    migrated = made_by([statement for migration in MIGRATIONS for statement in migration.table], "migrated")
    assert migrated == fresh.replace(size, "")


def converted(data: Path) -> dict[str, list[object]]:
    """All that is in the queue's file after the conversion."""
    convert(data)
    with closing(sqlite3.connect(data / "state.db")) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (FORMAT,)
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return {name: db.execute(f"SELECT * FROM {name}").fetchall() for name in sorted(shape(data / "state.db"))}


@pytest.mark.parametrize("kept", KEPT[: FORMAT - 1], ids=lambda kept: kept.name)
def test_a_kill_at_any_step_has_the_conversion_done_again(kept: Path, tmp_path: Path) -> None:
    original = tmp_path / "original"
    unpack(kept, original)
    whole = converted(Path(shutil.copytree(original, tmp_path / "whole", symlinks=True)))
    assert sum(map(len, whole.values())) > 10
    command = [sys.executable, "-m", "tests.store.migration_victim", str(original), str(tmp_path / "killed")]
    subprocess.run(command, check=True, timeout=60)
    killed = sorted((tmp_path / "killed").iterdir(), key=lambda path: int(path.name))
    assert len(killed) > 20
    for data in killed:
        begun = (data / "FORMAT").read_text().strip()
        with closing(sqlite3.connect(data / "state.db")) as db:
            (version,) = db.execute("PRAGMA user_version").fetchone()
        assert version == 0 or begun == str(FORMAT), "an older release would open what is converted"
        assert converted(data) == whole


def test_without_its_mark_a_directory_is_of_the_first_format(tmp_path: Path) -> None:
    data = tmp_path / "data"
    expected = unpack(KEPT[0], data)
    (data / "FORMAT").unlink()
    opened = open_directory(data)
    assert (data / "FORMAT").read_text() == "1\n"
    convert(opened.path)
    assert (opened.node, (data / "FORMAT").read_text()) == (expected["node"], f"{FORMAT}\n")
    opened.close()


def test_a_fresh_directory_has_the_newest_format_at_once(tmp_path: Path) -> None:
    opened = open_directory(tmp_path / "data")
    assert (tmp_path / "data" / "FORMAT").read_text() == f"{FORMAT}\n"
    file = tmp_path / "data" / "state.db"
    convert(opened.path)
    assert not file.exists(), "with a queue's file and no store it would be no fresh one"
    State(file, 1_000, FORMAT).close()
    before = file.read_bytes()
    convert(opened.path)
    assert file.read_bytes() == before
    opened.close()


def snapshot_of(data: Path) -> dict[str, bytes]:
    files = (path for path in data.rglob("*") if path.is_file() and not path.is_symlink() and path.name != "LOCK")
    return {str(path.relative_to(data)): path.read_bytes() for path in files}


def refused(data: Path) -> str:
    """What a start says that fails; nothing of the directory was changed."""
    before = snapshot_of(data)
    command = [sys.executable, "-m", "logriver", "serve", "--listen", "127.0.0.1:0", "--data", str(data)]
    start = subprocess.run(command, capture_output=True, check=False, text=True, timeout=60)
    assert start.returncode == 1, start.stderr
    assert snapshot_of(data) == before
    return start.stderr


def test_what_a_newer_release_wrote_is_refused(tmp_path: Path, new_server: Callable[..., RunningServer]) -> None:
    data = tmp_path / "data"
    server = new_server(data=data)
    assert server.client.post("/api/v1/logs", content=b'{"message":"x"}').status_code == 200
    server.kill()
    with closing(sqlite3.connect(data / "state.db")) as db:
        db.execute(f"PRAGMA user_version = {FORMAT + 1}")
    assert f"state.db has format {FORMAT + 1}, this version reads up to {FORMAT}" in refused(data)
    (data / "FORMAT").write_text(f"{FORMAT + 1}\n")
    said = refused(data)
    assert f"has data format {FORMAT + 1}, this version reads up to {FORMAT}" in said
    assert "use the newer version of logriver; nothing was changed" in said


def test_a_queue_file_that_cannot_be_converted_says_so(tmp_path: Path) -> None:
    (tmp_path / "state.db").write_bytes(b"not a database" * 100)
    with pytest.raises(DataDirectoryError, match=r"state\.db"):
        convert(tmp_path)
