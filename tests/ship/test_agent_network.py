"""An agent in a network of its own, as behind NAT: it reaches the server, and nothing there can be reached."""

import contextlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import RunningServer
from tests.crash.test_crash import NewServer

_WAIT_SECONDS = 60
_LISTENING = re.compile(r"^ *\d+: \S+ \S+ 0A ", re.MULTILINE)

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may make a network namespace")


@dataclass
class Network:
    """A namespace and the address of this machine as it sees it; `device` is this end of the cable."""

    namespace: str
    device: str
    address: str


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, timeout=30)


@pytest.fixture
def network() -> Iterator[Network]:
    number = os.getpid() % 60_000
    made = Network(f"logriver{number}", f"lr{number}", f"10.214.{number % 250}.1")
    ip("netns", "add", made.namespace)
    try:
        ip("link", "add", made.device, "type", "veth", "peer", "name", "uplink", "netns", made.namespace)
        ip("address", "add", f"{made.address}/30", "dev", made.device)
        ip("link", "set", made.device, "up")
        ip("-n", made.namespace, "address", "add", f"{made.address[:-1]}2/30", "dev", "uplink")
        ip("-n", made.namespace, "link", "set", "uplink", "up")
        yield made
    finally:
        ip("netns", "delete", made.namespace)


@contextlib.contextmanager
def agent_within(network: Network, url: str, token: str, root: Path) -> Iterator[None]:
    command = ["ip", "netns", "exec", network.namespace, sys.executable, "-m", "logriver", "agent", "--server", url]
    environment = {**os.environ, "LOGRIVER_TOKEN": token}
    with (root.parent / "agent.log").open("w") as internal_log:
        agent = subprocess.Popen(
            [*command, "--name", "far", "--files-root", str(root)],
            stdout=subprocess.DEVNULL,
            stderr=internal_log,
            env=environment,
        )
    try:
        yield
    finally:
        agent.kill()
        agent.wait(30)


def is_connected(server: RunningServer) -> bool:
    return any(agent["connected"] for agent in server.client.get("/api/v1/agents").json()["agents"])


def wait_until(is_so: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + _WAIT_SECONDS
    while not is_so():
        assert time.monotonic() < give_up_at
        time.sleep(0.1)


@pytest.fixture
def far(new_server: NewServer, network: Network, tmp_path: Path) -> Iterator[RunningServer]:
    """A server with an agent in the other network, which needs the token there."""
    root = tmp_path / "far"
    root.mkdir()
    (root / "app.log").write_text("one\ntwo\n")
    here = {"LOGRIVER_TOKEN": "the token of both", "LOGRIVER_TRUST_LOOPBACK": "true"}
    server = new_server("--listen", f"{network.address}:0", **here)
    assert server.process.stdout is not None
    url = server.process.stdout.readline().split()[-1]
    with agent_within(network, url, "another token", root):
        wait_until(lambda: "wrong token" in (tmp_path / "agent.log").read_text())
        assert not is_connected(server)
    with agent_within(network, url, "the token of both", root):
        wait_until(lambda: is_connected(server))
        yield server


def read(server: RunningServer) -> tuple[int, str]:
    answer = server.client.get("/logs", params={"hostname": "far", "filename": "app.log"})
    return answer.status_code, answer.text


def test_an_agent_behind_a_network_of_its_own_is_read_and_never_listens(far: RunningServer, network: Network) -> None:
    assert read(far) == (200, "two\none\n")
    command = ["ip", "netns", "exec", network.namespace, "cat", "/proc/net/tcp", "/proc/net/tcp6"]
    sockets = subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout
    assert _LISTENING.search(sockets) is None
    assert len(sockets.splitlines()) > 2


@pytest.mark.soak
def test_a_cut_cable_is_noticed_and_mended(far: RunningServer, network: Network) -> None:
    ip("link", "set", network.device, "down")
    wait_until(lambda: not is_connected(far))
    assert read(far)[0] == 503
    ip("link", "set", network.device, "up")
    wait_until(lambda: is_connected(far))
    assert read(far) == (200, "two\none\n")
