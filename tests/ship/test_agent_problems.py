"""What an agent cannot do is seen where its server shows agents, and goes away when it can."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from logriver.ship import frames
from logriver.ship.frames import AgentSource, Beat
from tests.conftest import RunningServer
from tests.running_agent import RunningAgent
from tests.ship.test_channel import _names, hello, registered, shown, wait_until_shown

SECONDS = 20


class OldBeat(msgspec.Struct, tag="beat", array_like=True):
    """As a server of before has it."""

    sources: list[AgentSource]
    left_out: int


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.05)


def problems_of(server: RunningServer) -> list[str]:
    return [str(problem) for problem in msgspec.convert(server.status()["problems"], list[str])]


def agent_of(server: RunningServer, name: str) -> dict[str, Any]:
    agents = server.client.get("/api/v1/agents").json()["agents"]
    return next((agent for agent in agents if agent["name"] == name), {})


def test_a_loop_of_an_agent_that_fails_is_seen_at_the_server(
    new_server: Callable[..., RunningServer], tmp_path: Path
) -> None:
    server = new_server()
    programs = tmp_path / "programs"
    programs.mkdir()
    # Without `journalctl` the loop that reads the journal fails, and is tried again.
    environment = {"PATH": str(programs)}
    agent = RunningAgent(
        tmp_path / "agent.log", "--server", server.url, "--name", "web-1", "journal:", environment=environment
    )
    try:
        until(lambda: agent_of(server, "web-1").get("problems"))
        (problem,) = agent_of(server, "web-1")["problems"]
        assert problem.startswith("journal: is not followed, trying again: ")
        assert f"agent 'web-1': {problem}" in problems_of(server)
        # As it is about an agent, it does not keep the server from its work.
        assert server.client.get("/ready").status_code == 200
        program = programs / "journalctl"
        program.write_text("#!/bin/sh\nexec /bin/sleep 60\n")
        program.chmod(0o755)
        until(lambda: agent_of(server, "web-1")["problems"] == [])
        assert not [problem for problem in problems_of(server) if "web-1" in problem]
    finally:
        agent.kill()


def test_problems_are_cut_short_and_few(server: RunningServer) -> None:
    name = next(_names)
    problems = [f"problem {number} " + "x" * 1_000 for number in range(100)]
    fine = [AgentSource(f"/{number}{'x' * 4000}", "text", 1, 1, 0, "", 0) for number in range(200)]
    beat = frames.beat_of(fine, ["twice", "twice", *problems])
    assert len(beat) <= frames.MAX_BEAT_BYTES + 1_000
    with registered(server, hello(name)) as connection:
        connection.send(beat)
        wait_until_shown(
            server, name, "problems", ["twice", *(problem[: frames.MAX_PROBLEM_LENGTH] for problem in problems[:9])]
        )
        assert f"agent {name!r}: twice (and 9 more)" in problems_of(server)
    wait_until_shown(server, name, "problems", [])
    assert not [problem for problem in problems_of(server) if name in problem]


def test_agents_and_servers_of_before_are_understood() -> None:
    source = AgentSource("/a", "text", 1, 2, 3, "", 0)
    assert frames.from_agent(frames.encode(OldBeat([source], 4))) == Beat([source], 4, [])
    as_before = msgspec.msgpack.decode(frames.beat_of([source], ["a problem"]), type=OldBeat)
    assert as_before == OldBeat([source], 0)


def test_more_than_a_beat_may_say_closes_the_channel(server: RunningServer) -> None:
    for problems in (["x"] * 11, ["x" * 301]):
        name = next(_names)
        with registered(server, hello(name)) as connection:
            connection.send(frames.encode(Beat([], 0, problems)))
            wait_until_shown(server, name, "connected", False)
    assert shown(server, name)["problems"] == []
