"""`/ready` and `problems` say what is wrong whatever it is, as long as it is so, and every stop has a bound."""

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from logriver import clock
from logriver.readiness import IDLE_SECONDS, RECOVERY_SECONDS, STALLED_SECONDS, Readiness
from tests.conftest import RunningServer

NewServer = Callable[..., RunningServer]
SECONDS = 20


def until_ready(server: RunningServer, ready: bool, seconds: float = SECONDS) -> list[str]:
    """Wait until `/ready` says so; the problems that it gives then."""
    deadline = time.monotonic() + seconds
    while (answer := server.client.get("/ready")).status_code != (200 if ready else 503):
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.02)
    problems: list[str] = answer.json()["problems"]
    return problems


class FaultyServer(RunningServer):
    """See `faulty_server.py`."""

    def __init__(self, data: Path) -> None:
        self.fault = data.with_name("fault")
        script = Path(__file__).with_name("faulty_server.py")
        super().__init__(data, wrapper=[sys.executable, str(script), str(self.fault)])

    def begin(self, fault: str) -> None:
        self.fault.write_text(fault)

    def heal(self) -> None:
        self.fault.unlink(missing_ok=True)


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyServer]:
    server = FaultyServer(tmp_path_factory.mktemp("faulty") / "data")
    yield server
    server.heal()
    assert server.stop() == 0


def post(server: RunningServer, text: str) -> httpx.Response:
    return server.client.post("/api/v1/logs", json={"message": text})


# -- the rules ---------------------------------------------------------------------------------------------------------


class FakeQueue:
    def __init__(self) -> None:
        self.recovered_seq, self.watermark, self.stalled = 10, 4, (0.0, 0.0)

    def stalled_seconds(self) -> tuple[float, float]:
        return self.stalled


def test_it_is_recovering_until_what_was_durable_is_searchable(monkeypatch: pytest.MonkeyPatch) -> None:
    queue = FakeQueue()
    readiness = Readiness(queue, [], [])
    assert readiness.not_ready() == ["recovering: 6 records from before the start are not searchable yet"]
    assert readiness.problems() == [], "that is no trouble"
    queue.watermark = 10
    assert readiness.not_ready() == []
    queue.watermark = 4
    assert readiness.not_ready() == [], "only once after a start"

    readiness, now = Readiness(queue, [], []), clock.monotonic()
    monkeypatch.setattr(clock, "monotonic", lambda: now + RECOVERY_SECONDS + 1)
    assert readiness.not_ready() == [], "and not for ever"


@pytest.mark.parametrize(
    ("stalled", "said"),
    [
        ((0.0, 0.0), False),
        ((IDLE_SECONDS - 1, IDLE_SECONDS - 1), False),
        ((IDLE_SECONDS, IDLE_SECONDS), True),
        ((1.0, STALLED_SECONDS - 1), False),
        ((1.0, STALLED_SECONDS), True),
    ],
)
def test_records_that_wait_must_get_on(stalled: tuple[float, float], said: bool) -> None:
    queue = FakeQueue()
    queue.watermark, queue.stalled = queue.recovered_seq, stalled
    readiness = Readiness(queue, [], [])
    assert bool(readiness.not_ready()) is bool(readiness.problems()) is said


def test_a_check_that_fails_is_a_problem_and_hides_no_other() -> None:
    queue = FakeQueue()
    queue.watermark = queue.recovered_seq

    def fails() -> list[str]:
        raise OSError(2, "No such file or directory", "/var/lib/logriver")

    readiness = Readiness(queue, [fails, lambda: ["the disk is full"]], [lambda: ["an old loss", "the disk is full"]])
    failed = "a check of the server failed: FileNotFoundError, the internal log says why"
    assert readiness.not_ready() == [failed, "the disk is full"]
    assert readiness.problems() == [failed, "the disk is full", "an old loss"]


# -- a server ----------------------------------------------------------------------------------------------------------


def test_after_a_start_it_is_ready_once_everything_acknowledged_is_found(new_server: NewServer) -> None:
    # After a start a quarter of that passes until what waits is taken.
    server = new_server(LOGRIVER_BLOCK_SECONDS="8")
    for number in range(20):
        assert post(server, f"recovered {number}").status_code == 200
    server.kill()
    server.start()
    answer = server.client.get("/ready")
    assert answer.status_code == 503, "what was acknowledged cannot be found yet"
    assert answer.json()["problems"][0].startswith("recovering: ")
    assert server.status()["problems"] == []
    until_ready(server, True)
    assert len(server.search(q="recovered", limit=100)) == 20, "ready, and not everything is found"


def test_a_writer_without_memory_is_shown_and_goes_on(faulty: FaultyServer) -> None:
    assert until_ready(faulty, True) == []
    faulty.begin("taking finds no memory")
    # It waits for work inside of the real call, and meets the fault with the next.
    assert post(faulty, "before").status_code == 200
    problems = until_ready(faulty, False)
    assert "blocks cannot be stored, trying again: MemoryError" in problems
    assert post(faulty, "meanwhile").status_code == 200
    assert 'logriver_loop_failures_total{loop="writer-' in faulty.client.get("/metrics").text
    faulty.heal()
    assert until_ready(faulty, True) == faulty.status()["problems"] == []
    until_found(faulty, "meanwhile")


def test_a_writer_that_hangs_is_seen_and_the_stop_has_a_bound(faulty: FaultyServer) -> None:
    faulty.begin("insert hangs")
    assert post(faulty, "hanging").status_code == 200
    (problem,) = until_ready(faulty, False)
    assert problem.startswith("records wait to be stored, and for ")
    assert "records wait to be stored" in str(faulty.status()["problems"])
    faulty.heal()
    until_ready(faulty, True)
    until_found(faulty, "hanging")

    faulty.begin("insert hangs")
    assert post(faulty, "left").status_code == 200
    until_ready(faulty, False)
    assert faulty.stop() == 0, "within a minute, as `stop` has it"
    assert "a query or a thread does not end, the process ends with it" in faulty.log_path.read_text()
    faulty.heal()
    faulty.start()
    until_ready(faulty, True)
    until_found(faulty, "left")


def test_a_log_that_cannot_be_read_is_a_problem_and_the_drain_ends(faulty: FaultyServer) -> None:
    faulty.begin("insert hangs")
    assert post(faulty, "unread").status_code == 200
    faulty.kill()
    faulty.begin("the log is unreadable")
    faulty.start()
    deadline = time.monotonic() + SECONDS
    while ".log cannot be read: Input/output error" not in str(problems := until_ready(faulty, False)):
        assert time.monotonic() < deadline, problems
        time.sleep(0.02)
    assert str(faulty.fault.parent) not in str(problems), "whoever asks is told where the files are"
    assert post(faulty, "later").status_code == 200, "what comes is taken all the same"
    assert faulty.stop() == 0, "the drain must end"
    faulty.heal()
    faulty.start()
    until_ready(faulty, True)
    until_found(faulty, "unread")
    until_found(faulty, "later")


def until_found(server: RunningServer, text: str) -> None:
    deadline = time.monotonic() + SECONDS
    while len(server.search(q=text)) != 1:
        assert time.monotonic() < deadline, server.search(q=text)
        time.sleep(0.02)
