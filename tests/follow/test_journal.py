"""systemd's journal by cursor. The machine of the tests has no journal: `journalctl.py` stands in for the program."""

import asyncio
import json
import os
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from logriver import clock
from logriver.columns import DECODED_COLUMNS
from logriver.decode.wire.journal import cursor_of
from logriver.errors import SettingsError
from logriver.follow import journal
from logriver.follow.journal import journals_of
from logriver.settings import FollowSettings, SourceTable
from tests.conftest import RunningServer
from tests.decode.decoding import decoded
from tests.follow.test_follow import Ledger, following, until

NAMES = [column.name for column in DECODED_COLUMNS]


def entry(number: int, **fields: object) -> bytes:
    made = {
        "__CURSOR": f"s=9e2c;i={number:x};b=77;m=1;t=2;x=3",
        "__REALTIME_TIMESTAMP": str(1_770_000_000_000_000 + number),
        "PRIORITY": "3",
        "_SYSTEMD_UNIT": "shop.service",
        "SYSLOG_IDENTIFIER": "shopd",
        "_HOSTNAME": "web-1",
        "_PID": "4711",
        "MESSAGE": f"entry {number}",
    }
    return json.dumps({name: value for name, value in (made | fields).items() if value is not False}).encode() + b"\n"


def rows(*entries: bytes, max_record_bytes: int = 100_000) -> list[dict[str, str]]:
    found = decoded("journal", b"".join(entries), 40, 5, max_record_bytes=max_record_bytes).rows.decode().splitlines()
    return [dict(zip(NAMES, line.split("\t"), strict=True)) for line in found]


def test_fields_of_an_entry() -> None:
    (row,) = rows(entry(7))
    assert clock.to_text(int(row["timestamp"])) == "2026-02-02T02:40:00.000007Z"
    assert (row["message"], row["level"], row["_level"]) == ("entry 7", "error", "err")
    assert (row["service"], row["host"], row["_offset"]) == ("shop.service", "web-1", "40")
    assert json.loads(row["attributes"]) == {"SYSLOG_IDENTIFIER": "shopd", "_PID": "4711"}


@pytest.mark.parametrize(
    ("fields", "message", "level", "attributes"),
    [
        ({"MESSAGE": [104, 195, 164, 255]}, "hä�", "error", {}),
        ({"MESSAGE": None, "X": None, "PRIORITY": "9"}, "", "", {"PRIORITY": "9"}),
        ({"MESSAGE": False, "PRIORITY": False}, "", "", {}),
        ({"X": ["a", "b", [98, 255], None]}, "entry 1", "error", {"X": ["a", "b", "b�", ""]}),
        ({"MESSAGE": ["a", "b"]}, "", "error", {"MESSAGE": ["a", "b"]}),
    ],
)
def test_values_that_are_no_text(
    fields: dict[str, object], message: str, level: str, attributes: dict[str, object]
) -> None:
    (row,) = rows(entry(1, SYSLOG_IDENTIFIER=False, _PID=False, **fields))
    assert (row["message"], row["level"], json.loads(row["attributes"])) == (message, level, attributes)


def test_without_a_unit_the_service_is_the_identifier() -> None:
    (row,) = rows(entry(1, _SYSTEMD_UNIT=False))
    assert (row["service"], json.loads(row["attributes"])) == ("shopd", {"_PID": "4711"})


def test_what_cannot_be_read_is_refused_and_still_counts() -> None:
    lines = [b"{broken", entry(2).rstrip(), entry(3, MESSAGE="x" * 3000).rstrip(), b'{"n":5}']
    found = decoded("journal", b"\n".join(lines), 10, 5, max_record_bytes=2000)
    assert found.count == 1
    assert [(refused.line, refused.offset) for refused in found.refused] == [(1, 10), (3, 12), (4, 13)]
    assert cursor_of(lines[1]) == b"s=9e2c;i=2;b=77;m=1;t=2;x=3"
    with pytest.raises(ValueError, match="no cursor"):
        cursor_of(lines[3])


def test_a_journal_has_labels_and_nothing_else() -> None:
    tables = [SourceTable(path="journal:a.service", labels={"env": "prod"})]
    assert list(journals_of(FollowSettings(follow=["journal:", "a.log"], sources=tables))) == [
        "journal:",
        "journal:a.service",
    ]
    with pytest.raises(SettingsError, match="'journal:' has no multiline"):
        journals_of(FollowSettings(sources=[SourceTable(path="journal:", multiline="indent")]))


@pytest.fixture
def journal_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A journal; `journalctl` prints it."""
    path, programs = tmp_path / "journal", tmp_path / "bin"
    path.touch()
    programs.mkdir()
    program = programs / "journalctl"
    stand_in = Path(__file__).with_name("journalctl.py")
    program.write_text(f"#!/bin/sh\nexec '{sys.executable}' '{stand_in}' \"$@\"\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("JOURNAL", str(path))
    monkeypatch.setattr(journal, "_AGAIN_SECONDS", 0.1)
    return path


def append(path: Path, *entries: bytes) -> None:
    with path.open("ab") as file:
        file.write(b"".join(entries))


@pytest.mark.anyio
async def test_entries_go_on_behind_the_cursor(journal_file: Path) -> None:
    sink = Ledger()
    append(journal_file, *map(entry, range(1, 4)))
    async with following(sink, "journal:") as follower:
        await until(lambda: len(sink.messages()) == 3, 30)
        append(journal_file, entry(4))
        await until(lambda: len(sink.messages()) == 4, 30)
        (status,) = follower.sources()
        assert (status.path, status.format, status.committed_bytes, status.error) == ("journal:", "journal", 4, "")
    append(journal_file, entry(5), entry(6))
    async with following(sink, "journal:"):
        await until(lambda: len(sink.messages()) == 6, 30)
    assert sink.messages() == [f"entry {number}" for number in range(1, 7)]
    assert [row[9] for row in sink.rows()] == ["0", "1", "2", "3", "4", "5"]
    assert [held.tail for held in sink.ledger.values()] == [b"s=9e2c;i=6;b=77;m=1;t=2;x=3"]


@pytest.mark.anyio
async def test_one_unit_with_labels_from_the_end(journal_file: Path) -> None:
    sink = Ledger()
    append(journal_file, entry(1))
    table = SourceTable(path="journal:pay.service", labels={"env": "prod"})
    async with following(sink, table, from_end=True):
        for number in range(2, 200):
            append(journal_file, entry(number), entry(1000 + number, _SYSTEMD_UNIT="pay.service"))
            if sink.messages():
                break
            await asyncio.sleep(0.05)
        append(journal_file, entry(5000, _SYSTEMD_UNIT="pay.service"))
        await until(lambda: sink.messages()[-1:] == ["entry 5000"], 30)
    assert {row[3] for row in sink.rows()} == {"pay.service"}
    assert {json.loads(row[7])["env"] for row in sink.rows()} == {"prod"}


@pytest.mark.anyio
async def test_a_journalctl_that_ends_is_shown_and_started_again(
    journal_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink, errors = Ledger(), set()
    monkeypatch.setenv("JOURNAL_BREAKS", "2")
    append(journal_file, *map(entry, range(1, 8)))
    async with following(sink, "journal:") as follower:

        def all_there() -> bool:
            errors.add(follower.sources()[0].error)
            return len(sink.messages()) >= 7

        await until(all_there, 60)
    assert sink.messages() == [f"entry {number}" for number in range(1, 8)]
    assert "journalctl ended with 1: 'Failed to iterate through journal: Bad message'" in errors


@pytest.mark.anyio
async def test_a_journalctl_that_complains_all_the_time_is_read_on(
    journal_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = Ledger()
    # Far more than a pipe holds.
    monkeypatch.setenv("JOURNAL_COMPLAINS", "100000")
    monkeypatch.setenv("JOURNAL_BREAKS", "30")
    append(journal_file, *map(entry, range(30)))
    async with following(sink, "journal:") as follower:
        await until(lambda: len(sink.messages()) == 30, 30)
        await until(lambda: "Bad message" in follower.sources()[0].error, 30)
        assert len(follower.sources()[0].error) < 500


@pytest.mark.anyio
async def test_without_journalctl_the_source_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    async with following(Ledger(), "journal:") as follower:
        await until(lambda: "journalctl" in follower.sources()[0].error, 30)


def test_killed_at_any_time_entries_are_neither_lost_nor_doubled(
    new_server: Callable[..., RunningServer], journal_file: Path
) -> None:
    server = new_server("--follow", "journal:", PATH=os.environ["PATH"], JOURNAL=str(journal_file))
    append(journal_file, *map(entry, range(3000)))
    deadline = time.monotonic() + 60
    while not server.search(q="entry", limit=1) and time.monotonic() < deadline:
        time.sleep(0.01)
    server.kill()
    append(journal_file, *map(entry, range(3000, 6000)))
    server.start()
    deadline = time.monotonic() + 60
    found: list[object] = []
    while len(found) < 6000 and time.monotonic() < deadline:
        found = [row["message"] for row in server.search(q="entry", limit=10_000)]
    assert sorted(map(str, found)) == sorted(f"entry {number}" for number in range(6000))
