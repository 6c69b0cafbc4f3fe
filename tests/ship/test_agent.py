"""The agent: a process of its own that follows files into a server, through all that can be wrong between them."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from logriver.errors import SettingsError
from logriver.settings import AgentSettings, load_as
from tests.conftest import RunningServer
from tests.crash.test_crash import NewServer
from tests.running_agent import Network, RunningAgent

NewAgent = Callable[..., RunningAgent]
ROOT = Path(__file__).parents[2]
_FOUND_SECONDS = 60


@pytest.fixture
def new_agent(tmp_path: Path) -> Iterator[NewAgent]:
    """Makes agents with a name of the test's own; they are killed at its end if they still run."""
    started: list[RunningAgent] = []

    def make(server: str, *arguments: str, **environment: str) -> RunningAgent:
        log_path = tmp_path / f"agent-{len(started)}.log"
        agent = RunningAgent(log_path, "--server", server, "--name", tmp_path.name, *arguments, environment=environment)
        started.append(agent)
        return agent

    yield make
    for agent in started:
        if agent.process.stdout and not agent.process.stdout.closed:
            agent.kill()


def add(path: Path, first: int, count: int) -> None:
    """Numbered lines, with the test's own word."""
    with path.open("a") as file:
        file.write("".join(f"{path.parent.name} line {number}\n" for number in range(first, first + count)))


def messages(server: RunningServer, path: Path) -> list[str]:
    """What is stored of a file, in its order."""
    rows = server.search(q=f'_source:"{path}"', limit=10_000, order="asc")
    return [str(row["message"]) for row in rows]


def wait_for_lines(server: RunningServer, path: Path, count: int) -> None:
    """Exactly the first `count` numbered lines of a file are stored, each once."""
    expected = [f"{path.parent.name} line {number}" for number in range(count)]
    deadline = time.monotonic() + _FOUND_SECONDS
    while len(messages(server, path)) < count:
        assert time.monotonic() < deadline, f"{len(messages(server, path))} of {count}"
        time.sleep(0.1)
    assert sorted(messages(server, path)) == sorted(expected)


def test_followed_lines_are_found_and_a_new_agent_goes_on_where_the_ledger_ends(
    server: RunningServer, new_agent: NewAgent, tmp_path: Path
) -> None:
    path = tmp_path / "app.log"
    add(path, 0, 500)
    agent = new_agent(server.url, f"text={path}")
    assert agent.said == f"logriver agent {tmp_path.name} follows into {server.url}\n"
    wait_for_lines(server, path, 500)
    add(path, 500, 10)
    wait_for_lines(server, path, 510)
    assert agent.stop() == 0
    add(path, 510, 10)
    # It keeps nothing: one that was installed anew is the same to the server.
    again = new_agent(server.url, f"text={path}")
    wait_for_lines(server, path, 520)
    assert again.stop() == 0


def test_a_record_says_whose_it_is_where_its_line_does_not(
    server: RunningServer, new_agent: NewAgent, tmp_path: Path
) -> None:
    name, config = tmp_path.name, tmp_path / "agent.toml"
    (tmp_path / "a.log").write_text(f"{name} text\n")
    (tmp_path / "b.log").write_text(f'{{"message":"{name} json","host":"its own"}}\n{{"message":"{name} no host"}}\n')
    (tmp_path / "c.log").write_text(f"{name} labelled\n")
    config.write_text(f'[[sources]]\npath = "{tmp_path}/c.log"\nformat = "text"\nlabels = {{hostname = "a label"}}\n')
    new_agent(server.url, f"text={tmp_path}/a.log", str(tmp_path / "b.log"), "--config", str(config))
    deadline = time.monotonic() + _FOUND_SECONDS
    while len(rows := server.search(q=name)) < 4:
        assert time.monotonic() < deadline, rows
        time.sleep(0.1)
    hosts = {str(row["message"]).removeprefix(f"{name} "): row["host"] for row in rows}
    assert hosts == {"text": name, "json": "its own", "no host": name, "labelled": "a label"}
    assert len(server.search(q=f'host:"{name}"')) == 2


def test_it_is_small(server: RunningServer, new_agent: NewAgent, tmp_path: Path) -> None:
    line = '{{"level":"info","message":"{} {}","n":{},"some":{{"nested":["fields","{}"]}}}}\n'
    for file_number in range(8):
        with (tmp_path / f"{file_number}.log").open("w") as file:
            file.writelines(line.format(tmp_path.name, file_number, number, "x" * 80) for number in range(15_000))
    agent = new_agent(server.url, str(tmp_path / "?.log"))
    process, most_bytes, stored = psutil.Process(agent.process.pid), 0, 0
    deadline = time.monotonic() + _FOUND_SECONDS
    while stored < 8 * 15_000:
        assert time.monotonic() < deadline, agent.log_path.read_text()
        most_bytes = max(most_bytes, process.memory_info().rss)
        time.sleep(0.1)
        counted = server.client.get("/api/v1/stats", params={"q": f"{tmp_path.name} | stats count() as n"}).json()
        stored = counted["rows"][0][0]

    assert most_bytes <= 100_000_000
    loaded = {Path(mapped.path).name for mapped in process.memory_maps()}
    assert [name for name in loaded if "chdb" in name] == []


def test_it_waits_for_a_server_that_is_away_and_says_so(
    new_server: NewServer, new_agent: NewAgent, tmp_path: Path
) -> None:
    path = tmp_path / "app.log"
    add(path, 0, 100)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    agent = new_agent(f"http://127.0.0.1:{port}", f"text={path}")
    agent.wait_for_log("no answer from")
    add(path, 100, 100)
    server = new_server("--listen", f"127.0.0.1:{port}")
    wait_for_lines(server, path, 200)
    server.kill()
    add(path, 200, 100)
    agent.wait_for_log(f"{path} has to wait: no answer from")
    server.start()
    wait_for_lines(server, path, 300)
    assert agent.stop() == 0


def test_a_batch_whose_answer_was_lost_is_stored_once(
    server: RunningServer, new_agent: NewAgent, tmp_path: Path
) -> None:
    path = tmp_path / "app.log"
    network = Network(lambda: server.url)
    add(path, 0, 10)
    agent = new_agent(network.url, f"text={path}")
    wait_for_lines(server, path, 10)
    for number in range(1, 4):
        network.lose_answers = 1
        add(path, 10 * number, 10)
        wait_for_lines(server, path, 10 * number + 10)
        deadline = time.monotonic() + 30
        while agent.log_path.read_text().count("does not continue what is committed") < number:
            assert time.monotonic() < deadline, agent.log_path.read_text()
            time.sleep(0.05)
    assert network.lost_answers == 3
    add(path, 40, 10)
    wait_for_lines(server, path, 50)
    network.close()


def test_a_server_that_was_restored_gets_again_what_it_has_no_more(
    new_server: NewServer, new_agent: NewAgent, tmp_path: Path
) -> None:
    server, path, later = new_server(), tmp_path / "app.log", tmp_path / "more" / "later.log"
    later.parent.mkdir()
    network, backup = Network(lambda: server.url), tmp_path / "backup"
    add(path, 0, 10)
    agent = new_agent(network.url, f"text={path}", f"text={later}")
    wait_for_lines(server, path, 10)
    server.stop()
    shutil.copytree(server.data, backup, symlinks=True)
    server.start()
    add(path, 10, 10)
    add(later, 0, 10)
    wait_for_lines(server, path, 20)
    wait_for_lines(server, later, 10)
    server.stop()
    shutil.rmtree(server.data)
    backup.rename(server.data)
    server.start()
    # Neither file grows.
    wait_for_lines(server, path, 20)
    wait_for_lines(server, later, 10)
    agent.wait_for_log("the server holds less than it did")
    assert agent.stop() == 0
    network.close()


def test_a_wrong_token_is_said_and_nothing_is_accepted(
    new_server: NewServer, new_agent: NewAgent, tmp_path: Path, own_address: str
) -> None:
    path = tmp_path / "app.log"
    add(path, 0, 10)
    server = new_server("--listen", f"{own_address}:0", LOGRIVER_TOKEN="the right one", LOGRIVER_TRUST_LOOPBACK="true")
    assert server.process.stdout is not None
    found = re.search(r"http://\S+", server.process.stdout.readline())
    assert found is not None
    agent = new_agent(found[0], f"text={path}", LOGRIVER_TOKEN="a wrong one")
    agent.wait_for_log("does not let this agent in: wrong token")
    time.sleep(3)
    # It does not try so often that its address is shut out.
    assert agent.log_path.read_text().count("does not let this agent in") <= 2
    assert server.status()["stored"] == server.status()["waiting"] == 0
    assert agent.stop() == 0

    new_agent(found[0], f"text={path}", LOGRIVER_TOKEN="the right one")
    wait_for_lines(server, path, 10)


def test_the_settings_of_an_agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "agent.toml"
    config.write_text('server = "http://a:1"\nname = "from file"\n[[sources]]\npath = "/var/log/x"\nformat = "json"\n')
    monkeypatch.setenv("LOGRIVER_NAME", "from environment")
    # A server's variable beside an agent's.
    monkeypatch.setenv("LOGRIVER_MAX_DISK", "1GB")

    settings = load_as(AgentSettings, {"config": config, "server": "http://b:2"})

    assert (settings.server, settings.name) == ("http://b:2", "from environment")
    assert [(source.path, source.format) for source in settings.sources] == [("/var/log/x", "json")]
    config.write_text('serverr = "http://a:1"\n')
    with pytest.raises(SettingsError, match="unknown setting 'serverr', did you mean 'server'"):
        load_as(AgentSettings, {"config": config})
    monkeypatch.setenv("LOGRIVER_TOKN", "x")
    with pytest.raises(SettingsError, match="did you mean 'token'"):
        load_as(AgentSettings, {})


def test_names_that_are_not_utf8_do_not_take_its_channel_away(
    server: RunningServer, new_agent: NewAgent, tmp_path: Path
) -> None:
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/odd\xff"))
    odd.mkdir()
    (odd / "a\udcfe.log").write_text("a line\n")
    (tmp_path / "fine.log").write_text(f"{tmp_path.name} fine\n")
    agent = new_agent(server.url, str(odd / "*.log"), str(tmp_path / "fine.log"), "--files-root", str(odd))
    deadline = time.monotonic() + _FOUND_SECONDS
    while rf"{tmp_path}/odd\xff/a\xfe.log" not in paths_shown(server, tmp_path.name):
        assert time.monotonic() < deadline, agent.log_path.read_text()
        time.sleep(0.1)
    assert agent_shown(server, tmp_path.name)["roots"] == [rf"{tmp_path}/odd\xff"]
    while not messages(server, Path(rf"{tmp_path}/odd\\xff/a\\xfe.log")):
        assert time.monotonic() < deadline, agent.log_path.read_text()
        time.sleep(0.1)
    assert "Traceback" not in agent.log_path.read_text()
    assert agent.stop() == 0


def paths_shown(server: RunningServer, name: str) -> set[str]:
    return {source["path"] for source in agent_shown(server, name).get("sources", [])}


def agent_shown(server: RunningServer, name: str) -> dict[str, Any]:
    agents = server.client.get("/api/v1/agents").json()["agents"]
    return next((agent for agent in agents if agent["name"] == name), {})


@pytest.mark.parametrize("server", ["ftp://a", "http://", "http://[::1", "http://a:x", "a:99999"])
def test_what_is_no_address_ends_it(server: str) -> None:
    command = [sys.executable, "-m", "logriver", "agent", "--server", server, "x.log"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert f"not a server address: '{server}'" in ended.stderr


def test_its_settings_and_its_unit_are_documented() -> None:
    document = (ROOT / "docs" / "how-to" / "agent.md").read_text()
    unit = (ROOT / "deploy" / "logriver-agent.service").read_text()
    rows = set(re.findall(r"^\| `(\w+)` \|", document, re.MULTILINE))

    assert rows == set(AgentSettings.model_fields)
    named = re.findall(r"\bLOGRIVER_(\w+)=", document + unit)
    assert set(map(str.lower, named)) <= set(AgentSettings.model_fields)
    assert "ExecStart=/opt/logriver/bin/logriver agent" in unit
