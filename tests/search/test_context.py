"""The lines around one: of the same source, host and service, whatever comes between."""

import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RunningServer

NewServer = Callable[..., RunningServer]


def send(server: RunningServer, records: list[dict[str, Any]]) -> None:
    answer = server.client.post("/api/v1/logs", params={"wait": "searchable"}, json=records)
    assert answer.json()["accepted"] == len(records)


def context(server: RunningServer, id: str, **params: int) -> dict[str, Any]:
    answer = server.client.get("/api/v1/context", params={"id": id, **params})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    assert found["rows"][found["position"]]["_id"] == id
    return found


def numbers(found: dict[str, Any]) -> list[int]:
    return [row["n"] for row in found["rows"]]


def test_lines_around_are_of_the_same_service_and_host(server: RunningServer) -> None:
    run = uuid.uuid4().hex
    # The times fall, the order of arrival is what counts.
    send(
        server,
        [
            {"n": n, "service": f"{run}-{n % 2}", "host": f"h{n % 3}", "timestamp": f"2023-09-15T08:{59 - n:02}:00Z"}
            for n in range(60)
        ],
    )
    (row,) = server.search(q=f"service:{run}-0 n:30")
    found = context(server, str(row["_id"]), before=2, after=3)
    assert numbers(found) == [18, 24, 30, 36, 42, 48]
    assert found["position"] == 2
    assert found["rows"][2] == row
    assert numbers(context(server, str(row["_id"]))) == list(range(0, 60, 6))
    assert numbers(context(server, str(row["_id"]), before=0, after=0)) == [30]


def test_lines_that_are_far_away_are_found(server: RunningServer) -> None:
    run = uuid.uuid4().hex

    def mine(first: int) -> list[dict[str, Any]]:
        return [{"n": n, "service": run} for n in range(first, first + 3)]

    others = [{"n": -1, "service": f"not {run}"} for _ in range(30_000)]
    send(server, [*mine(0), *others, *mine(3), *others, *mine(6)])
    (row,) = server.search(q=f"service:{run} n:4")
    assert numbers(context(server, str(row["_id"]), before=3, after=20)) == [1, 2, 3, 4, 5, 6, 7, 8]


def test_lines_of_a_followed_file_are_in_its_order(new_server: NewServer, tmp_path: Path) -> None:
    one, other = tmp_path / "one.log", tmp_path / "other.log"
    one.write_text("".join(f"line {n} of one\n" for n in range(50)))
    other.write_text("".join(f"line {n} of other\n" for n in range(50)))
    server = new_server("--follow", str(one), "--follow", str(other))
    deadline = time.monotonic() + 20
    while server.status()["stored"] != 100:
        assert time.monotonic() < deadline
    (row,) = server.search(q='"line 25 of one"')
    found = context(server, str(row["_id"]), before=25, after=30)
    assert [row["message"] for row in found["rows"]] == [f"line {n} of one" for n in range(50)]


@pytest.mark.parametrize("id", ["nothing", "x-1", "x-99999999999999", "", "' OR 1-1"])
def test_an_unknown_record_has_no_context(server: RunningServer, id: str) -> None:
    answer = server.client.get("/api/v1/context", params={"id": id})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize("params", [{"before": "-1"}, {"after": "1001"}, {"before": "x"}, {}])
def test_wrong_parameters_are_refused(server: RunningServer, params: dict[str, str]) -> None:
    identified = {"id": "x-1"} if params else {}
    assert server.client.get("/api/v1/context", params=identified | params).status_code == 400
