"""A data directory of every format that was ever written is opened, converted and counted by this version.

They lie in `tests/data/format_*`, each made by the last version that wrote it (`tests/data/make.py`).
"""

import json
import tarfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import zstandard

from tests.conftest import RunningServer
from tests.crash_clients import found, wait_until_stored

KEPT = sorted((Path(__file__).parents[1] / "data").glob("format_*"))


@dataclass(frozen=True)
class Unpacked:
    data: Path
    expected: dict[str, Any]


def unpack(kept: Path, data: Path) -> dict[str, Any]:
    """Put the directory at `data`; what must come out of it."""
    with zstandard.open(kept / "data.tar.zst", "rb") as packed, tarfile.open(fileobj=packed, mode="r|") as archive:
        archive.extractall(data, filter="tar")
    expected: dict[str, Any] = json.loads((kept / "expected.json").read_text())
    return expected


@pytest.fixture(params=KEPT, ids=lambda kept: kept.name)
def unpacked(request: pytest.FixtureRequest, tmp_path: Path) -> Unpacked:
    data = tmp_path / "data"
    return Unpacked(data, unpack(request.param, data))


def test_there_is_one_of_every_format() -> None:
    assert [int(kept.name.removeprefix("format_")) for kept in KEPT] == list(range(1, len(KEPT) + 1))


def test_it_is_opened_converted_and_counted(unpacked: Unpacked, new_server: Callable[..., RunningServer]) -> None:
    expected = unpacked.expected
    for _ in range(2):
        server = new_server("--retention", "forever", data=unpacked.data)
        status = wait_until_stored(server)
        check(server, status, expected)
        assert server.stop() == 0
    assert (unpacked.data / "NODE").read_text().strip() == expected["node"]


def check(server: RunningServer, status: dict[str, Any], expected: dict[str, Any]) -> None:
    assert (status["stored"], status["problems"]) == (expected["records"], [])
    sent = Counter({(client, n): 1 for client, count in expected["counts"].items() for n in range(count)})
    counts = found(server, "client")
    whose = Counter(client for client, _ in counts.elements())
    assert whose == Counter(expected["counts"])
    assert max(counts.values()) == 1
    assert not [one for one in counts - sent if one[0] != "file"]
    assert len(server.search(q="replayed:true")) == expected["replayed"]
    ids = [row["_id"] for row in server.search(q="client:plain n:>=295")]
    assert ids == expected["ids"]
    [row] = server.search(q="client:file n:7")
    record = expected["record"]
    assert {key: row[key] for key in record if key != "level"} == {k: v for k, v in record.items() if k != "level"}
    check_what_the_queue_remembers(server, expected)


def check_what_the_queue_remembers(server: RunningServer, expected: dict[str, Any]) -> None:
    letters = server.client.get("/api/v1/dead-letters").json()["dead_letters"]
    assert len(letters) == expected["dead_letters"]
    assert {letter["raw"] for letter in letters} <= set(expected["bad_lines"])
    shown = {letter["id"]: letter["raw"] for letter in letters}
    assert {
        letter["id"]: letter["raw"] for letter in expected["dead_letters_shown_when_killed"]
    }.items() <= shown.items()
    [source] = server.client.get("/api/v1/sources").json()["sources"]
    assert (source["path"], source["follower"]) == (expected["source"], expected["follower"])
    assert (source["committed_bytes"], source["gaps"]) == (expected["ledger_end"], [])
    fields = server.client.get("/api/v1/fields").json()["fields"]
    assert [field["name"] for field in fields if field.get("promoted")] == expected["promoted"]
