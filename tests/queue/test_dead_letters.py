"""Dead letters of a real server: shown, corrected, replayed once whatever happens in between."""

import asyncio
import base64
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from logriver.columns import ROW_FORMAT
from logriver.queue.base import ClaimedBatch, DeadLetter
from logriver.queue.state import State
from logriver.queue.wal import Wal
from logriver.record import Batch, Decoded, Refused
from tests.conftest import RunningServer
from tests.running_agent import RunningAgent

LARGE = 10**9
GOOD = "2024-09-14 16:15:35 {} /api/v1/resource4 200 0.772"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    give_up_at = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.02)


def letters_of(server: RunningServer, **parameters: object) -> dict[str, Any]:
    answer = server.client.get("/api/v1/dead-letters", params={key: str(value) for key, value in parameters.items()})
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found


def replay(server: RunningServer, id: str, record: str = "") -> httpx.Response:
    return server.client.post(f"/api/v1/dead-letters/{id}/replay", content=record.encode())


def following(
    new_server: Callable[..., RunningServer], path: Path, lines: list[bytes], dead_letters: int
) -> RunningServer:
    """A server that has read these lines, so many of which are dead letters."""
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    server = new_server("--follow", f"{'json' if path.suffix == '.json' else 'api_requests'}={path}")
    until(lambda: server.status()["dead_letters"] == dead_letters and server.status()["waiting"] == 0)
    return server


@pytest.fixture
def server_with_letters(new_server: Callable[..., RunningServer], tmp_path: Path) -> RunningServer:
    lines = [f"bad line {number}".encode() for number in range(5)]
    return following(new_server, tmp_path / "requests.log", [GOOD.format("cust_1").encode(), *lines], 5)


def test_letters_are_shown_newest_first_and_page_by_page(server_with_letters: RunningServer) -> None:
    server = server_with_letters
    everything = letters_of(server)["dead_letters"]
    paged: list[Any] = []
    page = letters_of(server, limit=2)
    while page["dead_letters"]:
        assert len(page["dead_letters"]) <= 2
        paged += page["dead_letters"]
        page = letters_of(server, limit=2, cursor=page["cursor"])

    assert [dead_letter["raw"] for dead_letter in everything] == [f"bad line {number}" for number in reversed(range(5))]
    assert paged == everything
    assert {dead_letter["reason"] for dead_letter in everything} == {"expected 6 tokens, got 3"}
    assert {Path(dead_letter["source"]).name for dead_letter in everything} == {"requests.log"}
    assert all(dead_letter["received"].endswith("Z") and "raw_base64" not in dead_letter for dead_letter in everything)


def test_an_agents_letter_is_read_in_the_format_of_its_file(server: RunningServer, tmp_path: Path) -> None:
    path = tmp_path / "far.json"
    path.write_text("no object\n")
    agent = RunningAgent(tmp_path / "agent.log", "--server", server.url, "--name", tmp_path.name, f"json={path}")

    def source() -> dict[str, Any]:
        found = server.client.get("/api/v1/sources", params={"source": str(path)}).json()["sources"]
        return found[0] if found else {}

    try:
        until(lambda: source().get("committed_bytes") == path.stat().st_size and source()["format"] == "json")
        until(lambda: server.status()["waiting"] == 0)
        (dead_letter,) = (
            dead_letter for dead_letter in letters_of(server)["dead_letters"] if dead_letter["source"] == str(path)
        )
        again = replay(server, dead_letter["id"])
        assert (again.status_code, again.json()["error"]["message"][:14]) == (422, "it fails again")
        assert replay(server, dead_letter["id"], '{"message": "mended"}').status_code == 200
    finally:
        agent.stop()


def test_a_corrected_letter_is_stored_and_gone(server_with_letters: RunningServer) -> None:
    server = server_with_letters
    newest, older = letters_of(server)["dead_letters"][:2]
    as_line = replay(server, newest["id"], GOOD.format("cust_corrected"))
    as_json = replay(server, older["id"], '{"message": "corrected",\n "level": "warn"}')

    assert (as_line.status_code, as_json.status_code) == (200, 200)
    assert as_line.json() == {"id": newest["id"], "accepted": 1}
    until(lambda: server.status()["waiting"] == 0)
    (row,) = server.search(q="customer:cust_corrected")
    assert (row["latency_seconds"], row["_source"]) == (0.772, newest["source"])
    assert [row["level"] for row in server.search(q="corrected level:warn")] == ["warn"]
    assert server.status()["dead_letters"] == 3
    assert newest["id"] not in {dead_letter["id"] for dead_letter in letters_of(server)["dead_letters"]}
    assert replay(server, newest["id"], GOOD.format("cust_corrected")).status_code == 404


def test_a_letter_that_fails_again_stays(server_with_letters: RunningServer) -> None:
    server = server_with_letters
    chosen = letters_of(server)["dead_letters"][0]["id"]
    again = replay(server, chosen)
    worse = replay(server, chosen, "2024-09-14 16:15:35 cust_1 /x 999 0.1")
    several = replay(server, chosen, f"{GOOD.format('a')}\n{GOOD.format('b')}")

    assert (again.status_code, worse.status_code, several.status_code) == (422, 422, 422)
    assert "expected 6 tokens" in again.json()["error"]["message"]
    assert "not a status" in worse.json()["error"]["message"]
    assert "one record" in several.json()["error"]["message"]
    assert server.status()["dead_letters"] == 5


@pytest.mark.parametrize(
    ("call", "status"),
    [
        ("GET /api/v1/dead-letters?limit=0", 400),
        ("GET /api/v1/dead-letters?limit=1001", 400),
        ("GET /api/v1/dead-letters?cursor=x", 400),
        ("POST /api/v1/dead-letters/999999999/replay", 404),
        ("POST /api/v1/dead-letters/x/replay", 404),
        ("POST /api/v1/dead-letters/99999999999999999999/replay", 404),
    ],
)
def test_wrong_calls(server: RunningServer, call: str, status: int) -> None:
    method, _, address = call.partition(" ")
    answer = server.client.request(method, address)

    assert answer.status_code == status
    assert answer.json()["error"]["message"]


def test_bytes_that_are_no_text_are_given_back_exactly(
    new_server: Callable[..., RunningServer], tmp_path: Path
) -> None:
    broken = b'{"message":"caf\xe9"}'
    server = following(new_server, tmp_path / "app.json", [b'{"message":"fine"}', broken], 1)
    (dead_letter,) = letters_of(server)["dead_letters"]

    assert dead_letter["raw"] == '{"message":"caf\ufffd"}'
    assert base64.b64decode(dead_letter["raw_base64"]) == broken
    assert replay(server, dead_letter["id"]).status_code == 422
    assert replay(server, dead_letter["id"], broken.decode("latin-1")).status_code == 200


def test_a_letter_of_which_only_the_beginning_was_kept_needs_the_whole(
    new_server: Callable[..., RunningServer], tmp_path: Path
) -> None:
    server = following(new_server, tmp_path / "requests.log", [b"x" * 3_000_000], 1)
    (dead_letter,) = letters_of(server)["dead_letters"]
    answer = replay(server, dead_letter["id"])

    assert answer.status_code == 422
    assert "were kept" in answer.json()["error"]["message"]


def test_a_letter_that_the_engine_refuses_again_stays_the_one_letter(new_server: Callable[..., RunningServer]) -> None:
    server = new_server()
    server.client.post("/api/v1/logs", json={"message": "before"}).raise_for_status()
    server.stop()
    # As the writer buries a row that the engine refused; what decoders let through, it can read.
    state = State(server.data / "state.db", LARGE)
    refused = b"no time\tinfo\tits message\t\t\t\t\t{}\t\t0\tapp.log\t1700000000000000000"
    readable = refused.replace(b"no time", b"1700000000000000000")
    state.dead_letter([DeadLetter(1, "the engine refused it", refused, "", 0, ROW_FORMAT)])
    state.dead_letter([DeadLetter(2, "refused by an earlier version", readable, "", 0, ROW_FORMAT)])
    state.close()
    server.start()
    for _ in range(2):
        answer = replay(server, "1")
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "unprocessable")
        assert "the engine refuses it again: cannot parse" in answer.json()["error"]["message"].lower()
    assert replay(server, "2").status_code == 200
    until(lambda: server.status()["waiting"] == 0)

    assert [dead_letter["id"] for dead_letter in letters_of(server)["dead_letters"]] == ["1"]
    assert [row["_source"] for row in server.search(q="its message")] == ["app.log"]
    assert replay(server, "1", '{"message": "corrected"}').status_code == 200
    assert letters_of(server)["dead_letters"] == []


def test_many_replays_of_one_letter_store_it_once(server_with_letters: RunningServer) -> None:
    server = server_with_letters
    chosen = letters_of(server)["dead_letters"][0]["id"]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: replay(server, chosen, GOOD.format("cust_once")).status_code, range(24)))

    assert set(answers) <= {200, 404}
    until(lambda: server.status()["waiting"] == 0)
    assert len(server.search(q="customer:cust_once")) == 1


def test_killed_while_replaying_each_letter_is_stored_once(
    new_server: Callable[..., RunningServer], tmp_path: Path
) -> None:
    number_of_letters = 60
    lines = [f"bad {number}".encode() for number in range(number_of_letters)]
    server = following(new_server, tmp_path / "requests.log", lines, number_of_letters)

    def correct(dead_letter: dict[str, str]) -> None:
        # Gone after a kill: the next round sees whether it is stored.
        with suppress(httpx.TransportError, RuntimeError):
            replay(server, dead_letter["id"], GOOD.format(dead_letter["raw"].replace(" ", "_")))

    for milliseconds in (15, 60):
        left = letters_of(server, limit=1000)["dead_letters"]
        with ThreadPoolExecutor(4) as pool:
            futures = [pool.submit(correct, dead_letter) for dead_letter in left]
            time.sleep(milliseconds / 1000)
            server.kill()
            for future in futures:
                future.result()
        server.start()
    for dead_letter in letters_of(server, limit=1000)["dead_letters"]:
        assert replay(server, dead_letter["id"], GOOD.format(dead_letter["raw"].replace(" ", "_"))).status_code == 200
    until(lambda: server.status()["waiting"] == 0)
    stored = sorted(str(row["customer"]) for row in server.search(limit=1000))

    assert stored == sorted(f"bad_{number}" for number in range(number_of_letters))
    assert letters_of(server) == {"dead_letters": [], "cursor": None}


def test_the_command_shows_and_replays(server_with_letters: RunningServer) -> None:
    server = server_with_letters

    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        whole = [sys.executable, "-m", "logriver", "dead-letters", *arguments, "--server", server.url]
        return subprocess.run(whole, capture_output=True, text=True, check=False)

    chosen = letters_of(server)["dead_letters"][0]["id"]
    shown, corrected = command("ls", "-n", "2"), command("replay", chosen, "--record", GOOD.format("cust_typed"))
    unknown, all_again, neither = command("replay", "999999"), command("replay", "--all"), command("replay")

    assert (shown.returncode, shown.stdout.count("expected 6 tokens"), "bad line 4" in shown.stdout) == (0, 2, True)
    assert (corrected.returncode, corrected.stdout) == (0, f"{chosen} stored\n")
    assert (unknown.returncode, "no dead letter" in unknown.stderr) == (1, True)
    assert (all_again.returncode, all_again.stdout) == (1, "0 stored, 4 failed again\n")
    assert neither.returncode == 2


# The same at the queue: what a crash between two steps leaves.


@asynccontextmanager
async def queue(directory: Path) -> AsyncIterator[tuple[Wal, State]]:
    """A queue on what is there; at the end only its threads stop, without a last snapshot, as a kill leaves it."""
    state = State(directory / "state.db", LARGE)
    wal = Wal(directory / "log", "node", state, 0, LARGE, LARGE)
    wal._snapshot = lambda: False  # type: ignore[method-assign]
    wal.start(asyncio.get_running_loop())
    try:
        yield wal, state
    finally:
        await asyncio.to_thread(wal.stop_receiving)
        wal.close()
        state.close()


def taken(wal: Wal) -> ClaimedBatch:
    run = wal.poll(LARGE, LARGE, 0.0)
    assert run is not None
    return run


def row(text: str) -> Decoded:
    return Decoded(f"{text}\n".encode(), 1)


@pytest.mark.anyio
async def test_a_replay_that_is_durable_counts_whatever_else_was_lost(tmp_path: Path) -> None:
    async with queue(tmp_path) as (wal, _):
        await wal.put(Batch(row("good"), "file", dead=[Refused(2, "bad", b"raw")]))
        run = taken(wal)
        wal.dead_letter(run.dead_letters)
        (dead_letter,) = wal.dead_letters.page(None, 10)
        await wal.put(Batch(row("corrected"), "file", replays=dead_letter.seq))

    async with queue(tmp_path) as (wal, state):
        assert state.find_dead_letter(dead_letter.seq) is not None, "the letter was not removed before the kill"
        assert wal.dead_letters.get(dead_letter.seq) is None
        assert wal.dead_letters.page(None, 10) == []
        again = taken(wal)
        assert [m.seq for m in again.dead_letters] == [dead_letter.seq], "the run with the letter comes again"
        state.remove_dead_letters([dead_letter.seq])
        wal.dead_letter(again.dead_letters)
        assert state.find_dead_letter(dead_letter.seq) is None, "a replayed letter is not dead_lettered a second time"
        assert wal.dead_lettered(1, 10) == {dead_letter.seq}


@pytest.mark.anyio
async def test_a_snapshot_removes_what_was_replayed_and_then_forgets_it(tmp_path: Path) -> None:
    async with queue(tmp_path) as (wal, state):
        await wal.put(Batch(Decoded(), "file", dead=[Refused(1, "bad", b"raw")]))
        run = taken(wal)
        wal.dead_letter(run.dead_letters)
        await wal.put(Batch(row("corrected"), "file", replays=run.first_seq))
        assert Wal._snapshot(wal)
        assert (state.dead_letter_count, wal.dead_letters.replays()) == (0, [run.first_seq])
        wal.ack(run)
        assert Wal._snapshot(wal)
        assert wal.dead_letters.replays() == []


def test_a_page_is_bounded_in_bytes(tmp_path: Path) -> None:
    state = State(tmp_path / "state.db", LARGE)
    state.dead_letter([DeadLetter(seq, "bad", b"x" * 1000, "file", 0) for seq in range(1, 11)])

    assert [dead_letter.seq for dead_letter in state.dead_letters_before(None, 10, 2500)] == [10, 9, 8]
    assert [dead_letter.seq for dead_letter in state.dead_letters_before(3, 10, 2500)] == [2, 1]
    state.close()
