"""Files whose names are not UTF-8, or that a terminal would obey: followed, read, proved, shown alike everywhere."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from logriver.path_text import text_of
from tests.commands import logriver, on_terminal
from tests.conftest import RunningServer

_FOUND_SECONDS = 30
NAMES = [
    b"caf\xe9.log",
    b"literal\\xe9.log",
    b"new\nline.log",
    b"escape\x1b[2J\x07.log",
    b"tab\t.log",
    b"   ",
    b"-rf.log",
    b"x" * 251 + b".log",
    b"\xff" * 251 + b".log",
    "gr\u00f6\u00dfe \u202e.log".encode(),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that is not UTF-8 itself, with a file of each name."""
    folder = Path(os.fsdecode(os.fsencode(tmp_path_factory.mktemp("odd")) + b"/d\xedr"))
    folder.mkdir()
    for number, path in enumerate(paths(folder)):
        path.write_text(f"line {number}\n")
    return folder


def paths(folder: Path) -> list[Path]:
    return [folder / os.fsdecode(name) for name in NAMES]


def spellings(folder: Path) -> dict[str, str]:
    """What the records of each file have as source, and their line."""
    return {text_of(str(path)): f"line {number}" for number, path in enumerate(paths(folder))}


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Iterator[RunningServer]:
    """A server that follows and reads them."""
    data = tmp_path_factory.mktemp("odd_data") / "data"
    running = RunningServer(data, "--follow", str(folder), "--files-root", str(folder))
    yield running
    assert running.stop() == 0


def stored(server: RunningServer) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in server.search(limit=1000, order="asc"):
        found.setdefault(str(row["_source"]), []).append(str(row["message"]))
    return found


def wait_stored(server: RunningServer, expected: dict[str, list[str]]) -> None:
    deadline = time.monotonic() + _FOUND_SECONDS
    while stored(server) != expected:
        assert time.monotonic() < deadline, stored(server)
        time.sleep(0.1)


def test_their_lines_are_found_and_the_store_goes_on(odd: RunningServer, folder: Path) -> None:
    lines = {source: [message] for source, message in spellings(folder).items()}
    wait_stored(odd, lines)
    odd.kill()
    odd.start()
    with paths(folder)[0].open("a") as file:
        file.write("after a kill\n")
    lines[text_of(str(paths(folder)[0]))].append("after a kill")
    wait_stored(odd, lines)
    # Nothing of what came by another way waits behind them.
    posted = odd.client.post("/api/v1/logs", params={"wait": "searchable"}, json=[{"message": "posted"}])
    assert posted.json()["accepted"] == 1
    assert [row["message"] for row in odd.search(q="posted")] == ["posted"]
    assert odd.status()["problems"] == []


def test_sources_names_them_so(odd: RunningServer, folder: Path) -> None:
    shown = odd.client.get("/api/v1/sources").json()["sources"]
    assert {source["path"] for source in shown} == set(spellings(folder))
    assert [source["file"] for source in shown] == [source["path"] for source in shown]
    one = odd.client.get("/api/v1/sources", params={"source": text_of(str(paths(folder)[0]))}).json()["sources"]
    assert [source["error"] for source in one] == [""]


def test_what_is_listed_can_be_asked_for(odd: RunningServer, folder: Path) -> None:
    entries = odd.client.get("/api/v1/files", params={"path": text_of(str(folder))}).json()["entries"]
    assert {entry["path"] for entry in entries} == set(spellings(folder))
    for entry in entries:
        for name in (entry["name"], entry["path"]):
            answer = odd.client.get("/logs", params={"filename": name, "n": "1", "keyword": "line "})
            assert answer.text == f"{spellings(folder)[entry['path']]}\n"
    missing = odd.client.get("/logs", params={"filename": "gr\u00f6\x1b\\xe9"})
    assert missing.json()["error"]["message"] == r"there is no 'gr" + "\u00f6" + r"\x1b\xe9'"


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_each_is_proved_by_its_spelling(odd: RunningServer, folder: Path, number: int) -> None:
    (source, _) = list(spellings(folder).items())[number]
    done = logriver("verify", "-o", "json", "--server", odd.url, "--", source)
    assert json.loads(done.stdout)["proven"], done.stderr


def test_commands_show_nothing_that_a_terminal_obeys(odd: RunningServer, folder: Path) -> None:
    for command in (["sources"], ["files", "ls"], ["search", "-n", "50", "line"]):
        code, shown, errors = on_terminal(*command, "--server", odd.url, COLUMNS="2000")
        assert (code, errors) == (0, ""), command
        assert [obeyed for obeyed in ("\x1b[2J", "\x07", "\u202e") if obeyed in shown] == []


def test_a_pattern_and_an_argument_may_have_the_bytes_themselves(odd: RunningServer, folder: Path) -> None:
    done = logriver("files", "search", os.fsdecode(NAMES[0]), "line 0", "--server", odd.url)
    assert done.stdout == "line 0\n", done.stderr


def test_files_that_nobody_follows_are_searched(odd: RunningServer, folder: Path) -> None:
    apart = folder / os.fsdecode(b"sub\xe9") / os.fsdecode(b"a\xfe.log")
    apart.parent.mkdir()
    apart.write_text("apart\n")
    answer = odd.client.get("/api/v1/files/search", params={"q": "apart", "limit": "5"})
    rows = [json.loads(line)["row"] for line in answer.text.splitlines() if '"row"' in line]
    assert [(row["_source"], row["message"]) for row in rows] == [(text_of(str(apart)), "apart")]
