"""Primary and secondaries: agents in processes of their own answer for their files, live and while they die."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from tests.conftest import RunningServer
from tests.running_agent import RunningAgent

NAMES = ("web-1", "web-2", "web-3")
_WAIT_SECONDS = 60
_BIG_LINES = 100_000


@dataclass
class Machines:
    """A server and three agents, each with a directory of its own in which `app.log` and `big.log` lie."""

    server: RunningServer
    roots: dict[str, Path]
    agents: dict[str, RunningAgent]

    def get(self, hostname: str, filename: str = "app.log", **parameters: str) -> httpx.Response:
        return self.server.client.get("/logs", params={"hostname": hostname, "filename": filename, **parameters})

    def shown(self, name: str) -> dict[str, object]:
        agents = self.server.client.get("/api/v1/agents").raise_for_status().json()["agents"]
        found: dict[str, object] = next((agent for agent in agents if agent["name"] == name), {"connected": None})
        return found


def wait_until(is_so: Callable[[], bool], seconds: float = _WAIT_SECONDS) -> None:
    give_up_at = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < give_up_at
        time.sleep(0.05)


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    directory = tmp_path_factory.mktemp("machines")
    roots = {name: directory / name for name in ("primary", *NAMES)}
    for number, root in enumerate(roots.values()):
        root.mkdir()
        lines = [f"2026-01-01 00:00:{4 * second + number:02} {root.name} line {second}\n" for second in range(5)]
        (root / "app.log").write_text("  of the start\n".join(lines))
    server = RunningServer(directory / "data", "--name", "primary", "--files-root", str(roots["primary"]))
    running = Machines(server, roots, {})
    try:
        for name in NAMES:
            arguments = ("--server", server.url, "--name", name, "--files-root", str(roots[name]))
            running.agents[name] = RunningAgent(directory / f"{name}.log", *arguments)
        wait_until(lambda: all(running.shown(name)["connected"] for name in NAMES))
        yield running
    finally:
        for agent in running.agents.values():
            agent.kill()
        server.kill()


def write_big(path: Path, count: int) -> None:
    """Lines of 95 bytes, newest last."""
    with path.open("w") as file:
        file.writelines(f"2026-01-01 00:00:00.{number:06} {'x' * 56} {number}\n" for number in range(count))


@pytest.fixture(scope="module")
def big(machines: Machines) -> Machines:
    for name in NAMES:
        write_big(machines.roots[name] / "big.log", _BIG_LINES)
    return machines


def is_reading(agent: RunningAgent, filename: str) -> bool:
    """Whether an agent has a file of that name open."""
    return any(file.path.endswith(f"/{filename}") for file in psutil.Process(agent.process.pid).open_files())


def test_agents_register_by_themselves(machines: Machines) -> None:
    for name in NAMES:
        shown = machines.shown(name)
        assert shown["host"] == os.uname().nodename
        assert shown["pid"] == machines.agents[name].process.pid
        assert shown["roots"] == [str(machines.roots[name])]
        assert shown["problem"] is None


def test_the_curl_call_of_three_agents(machines: Machines) -> None:
    """Every line once, newest first over all machines, marked, its continuation beside it."""
    url = f"{machines.server.url}/logs?hostname=*&filename=app.log"
    said = subprocess.run(["curl", "-sSg", url], capture_output=True, text=True, check=True, timeout=60).stdout
    expected = [
        [f"{host}: 2026-01-01 00:00:{4 * second + number:02} {host} line {second}"]
        + ([] if second == 4 else [f"{host}:   of the start"])
        for second in range(5)
        for number, host in enumerate(machines.roots)
    ]
    assert said.splitlines() == [line for block in reversed(expected) for line in reversed(block)]


def test_one_machine_answers_as_it_is(machines: Machines) -> None:
    text = (machines.roots["web-2"] / "app.log").read_text()
    answer = machines.get("web-2")
    assert (answer.status_code, answer.text.splitlines()) == (200, text.splitlines()[::-1])
    assert machines.get("web-2", n="2", keyword="line").text.count("\n") == 2
    assert machines.get("primary").text == machines.get("").text != ""


@pytest.mark.parametrize(
    ("filename", "status"), [("none.log", 404), ("/etc/passwd", 403), ("../web-9/app.log", 403), ("", 400), (".", 400)]
)
def test_an_agent_s_error_arrives_with_its_own_status(machines: Machines, filename: str, status: int) -> None:
    own, remote, every = (machines.get(host, filename) for host in ("", "web-1", "*"))
    assert [answer.status_code for answer in (own, remote, every)] == [status] * 3
    assert remote.json() == own.json()


def test_an_unknown_host_is_400(machines: Machines) -> None:
    answer = machines.get("web-9")
    assert (answer.status_code, answer.json()["error"]["message"]) == (400, "unknown host 'web-9'")


def test_n_and_keyword_count_over_all(machines: Machines) -> None:
    lines = machines.get("*", n="6", keyword="line").text.splitlines()
    assert [line.split()[-3:] for line in lines] == [
        [host, "line", str(second)] for second in (4, 3) for host in ("web-3", "web-2", "web-1", "primary")
    ][:6]


def test_a_machine_without_the_file_is_left_out(machines: Machines) -> None:
    (machines.roots["web-2"] / "only.log").write_text("2026-01-01 00:00:00 here\n")
    assert machines.get("*", "only.log").text == "web-2: 2026-01-01 00:00:00 here\n"


def test_listing(machines: Machines) -> None:
    answer = machines.server.client.get("/api/v1/files", params={"agent": "web-1"})
    assert "app.log" in [entry["name"] for entry in answer.json()["entries"]]


def test_a_killed_agent_breaks_the_stream_and_is_named_and_comes_back(big: Machines) -> None:
    with big.server.client.stream("GET", "/logs", params={"hostname": "*", "filename": "big.log"}) as answer:
        pieces = answer.iter_bytes()
        got = [next(pieces)]
        big.agents["web-1"].kill()
        with pytest.raises(httpx.RemoteProtocolError):
            got += pieces
    lines = b"".join(got).splitlines()
    assert b"web-1: [logriver: agent 'web-1' vanished; older lines are missing]" in lines
    for name in (b"web-2", b"web-3"):
        assert sum(line.startswith(name) for line in lines) == _BIG_LINES
    wait_until(lambda: big.shown("web-1")["connected"] is False)
    assert big.get("web-1").status_code == 503
    of_all = lines_until_the_break(big, "app.log")
    assert any(line.startswith("web-1: [logriver: agent 'web-1' is gone, it was last seen at ") for line in of_all)
    assert sum(line.startswith("web-2: ") for line in of_all) == 9

    big.agents["web-1"].start()
    wait_until(lambda: big.shown("web-1")["connected"] is True)
    assert big.shown("web-1")["pid"] == big.agents["web-1"].process.pid
    assert big.get("web-1").status_code == 200


def lines_until_the_break(machines: Machines, filename: str) -> list[str]:
    """What comes of `hostname=*` before the stream breaks."""
    got = b""
    with machines.server.client.stream("GET", "/logs", params={"hostname": "*", "filename": filename}) as answer:
        try:
            for piece in answer.iter_bytes():
                got += piece
        except httpx.RemoteProtocolError:
            return got.decode().splitlines()
    raise AssertionError("the stream ended as if it were whole")


def test_a_stalled_agent_is_reported_and_does_not_keep_the_others_back(big: Machines) -> None:
    stalled = big.agents["web-3"].process
    stalled.send_signal(signal.SIGSTOP)
    try:
        lines = lines_until_the_break(big, "app.log")
        assert "web-3: [logriver: agent 'web-3' vanished; older lines are missing]" in lines
        assert sum(line.startswith("web-1: ") for line in lines) == 9
        assert big.get("web-3").status_code == 503
    finally:
        stalled.send_signal(signal.SIGCONT)
    wait_until(lambda: big.shown("web-3")["connected"] is True)
    assert big.get("web-3").status_code == 200


def test_a_slow_reader_costs_no_memory_and_holds_up_nobody(big: Machines) -> None:
    write_big(big.roots["web-2"] / "bigger.log", 5 * _BIG_LINES)
    processes = [psutil.Process(process.pid) for process in (big.server.process, big.agents["web-2"].process)]
    before = [process.memory_info().rss for process in processes]
    # Compressed, all of it would fit into what the system keeps for a socket.
    plain = {"Accept-Encoding": "identity"}
    wanted = {"hostname": "web-2", "filename": "bigger.log"}
    with big.server.client.stream("GET", "/logs", params=wanted, headers=plain) as answer:
        begun = answer.iter_raw(1000)
        next(begun)
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline:
            with httpx.Client(base_url=big.server.url, timeout=20, trust_env=False) as other:
                assert other.get("/logs", params={"hostname": "web-2", "filename": "app.log"}).status_code == 200
            time.sleep(0.2)
        assert is_reading(big.agents["web-2"], "bigger.log")
        grown = [process.memory_info().rss - rss for process, rss in zip(processes, before, strict=True)]
        assert max(grown) < 40_000_000, grown
    # The client has left: the agent stops reading.
    wait_until(lambda: not is_reading(big.agents["web-2"], "bigger.log"), 10)


def test_the_server_s_restart_is_survived(big: Machines) -> None:
    """The last test of the shared server, which is killed and started again at its address."""
    agent = big.agents["web-2"]
    url, port = big.server.url, big.server.url.rpartition(":")[2]
    big.server.kill()
    command = [
        sys.executable,
        "-m",
        "logriver",
        "serve",
        "--listen",
        f"127.0.0.1:{port}",
        "--data",
        str(big.server.data),
    ]
    with big.server.log_path.open("a") as internal_log:
        big.server.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=internal_log, text=True)
    big.server.client = httpx.Client(base_url=url, timeout=60)
    agent.wait_for_log("no channel to the server")

    def is_back() -> bool:
        try:
            return big.shown("web-2")["connected"] is True
        except httpx.TransportError:
            return False

    wait_until(is_back)
    assert big.get("web-2", n="1").text.startswith("2026-01-01 00:00:18")
