"""A data directory whose files do not belong together is refused; one that goes away while it is used is waited for."""

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from logriver.queue.segment_files import nodes_of
from tests.commands import logriver
from tests.conftest import RunningServer
from tests.crash_clients import wait_until_stored


def fill(server: RunningServer, messages: list[str]) -> None:
    answer = server.client.post("/api/v1/logs?wait=searchable", json=[{"message": text} for text in messages])
    answer.raise_for_status()


def refused(server: RunningServer) -> str:
    """What the start says that fails."""
    done = logriver("serve", "--listen", "127.0.0.1:0", "--data", str(server.data))
    assert done.returncode != 0
    return done.stderr


def contents(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def stored(server: RunningServer) -> int:
    return int(str(wait_until_stored(server)["stored"]))


@pytest.fixture(params=["killed", "stopped"])
def ended(request: pytest.FixtureRequest, new_server: Callable[..., RunningServer]) -> RunningServer:
    """A server with three records that was killed, so that they are in its log too, or stopped, so that it is empty."""
    server = new_server()
    fill(server, ["a", "b", "c"])
    server.kill() if request.param == "killed" else server.stop()
    return server


def test_another_node_is_refused_and_named(ended: RunningServer) -> None:
    node = (ended.data / "NODE").read_text()
    (ended.data / "NODE").write_text("other1\n")
    log, state = contents(ended.data / "log"), contents(ended.data / "store")
    first = "log/" if nodes_of(ended.data / "log") else "store/"
    said = refused(ended)
    assert f"NODE says 'other1', and {first} is of node '{node.strip()}'" in said
    assert f"echo {node.strip()} > '{ended.data / 'NODE'}'" in said
    assert contents(ended.data / "log") == log
    assert contents(ended.data / "store").keys() >= {name for name in state if "/data.bin" in name}
    (ended.data / "NODE").write_text(node)
    ended.start()
    assert stored(ended) == 3


def test_a_missing_node_is_refused(ended: RunningServer) -> None:
    node = (ended.data / "NODE").read_text()
    (ended.data / "NODE").unlink()
    assert "NODE is missing" in refused(ended)
    assert "NODE is missing" in logriver("doctor", "--data", str(ended.data)).stdout
    assert not (ended.data / "NODE").exists()
    (ended.data / "NODE").write_text(node)
    ended.start()
    assert stored(ended) == 3


@pytest.mark.parametrize("ended", ["killed"], indirect=True)
def test_a_missing_state_is_refused_until_an_empty_one_says_that_it_is_lost(ended: RunningServer) -> None:
    for file in ended.data.glob("state.db*"):
        file.unlink()
    said = refused(ended)
    assert "state.db is missing" in said
    assert "an empty file 'state.db'" in said
    (ended.data / "state.db").touch()
    ended.start()
    fill(ended, ["d"])
    assert stored(ended) == 4


@pytest.mark.parametrize("name", ["store", "log"])
def test_a_missing_folder_is_refused_until_an_empty_one_says_that_it_is_lost(
    new_server: Callable[..., RunningServer], name: str
) -> None:
    server = new_server()
    fill(server, ["a", "b", "c"])
    assert server.stop() == 0
    shutil.rmtree(server.data / name)
    assert f"{name}/ is missing" in refused(server)
    assert not (server.data / name).exists()
    (server.data / name).mkdir()
    server.start()
    fill(server, ["d"])
    assert stored(server) == (1 if name == "store" else 4)
    problems = " ".join(server.status()["problems"])  # type: ignore[arg-type]
    assert ("the newest 3 stored records are not in store/" in problems) == (name == "store")


@pytest.mark.parametrize("ended", ["stopped"], indirect=True)
def test_the_state_of_another_directory_is_refused(
    ended: RunningServer, new_server: Callable[..., RunningServer], tmp_path: Path
) -> None:
    other = new_server(data=tmp_path / "other")
    fill(other, ["x"])
    assert other.stop() == 0
    for file in ended.data.glob("state.db*"):
        file.unlink()
    shutil.copy(other.data / "state.db", ended.data / "state.db")
    assert "state.db is of node" in refused(ended)


def test_an_older_state_is_refused(new_server: Callable[..., RunningServer], tmp_path: Path) -> None:
    """From a backup, while the store is of today: what a follower read since would be read again."""
    server = new_server()
    fill(server, ["a"])
    assert server.stop() == 0
    shutil.copy(server.data / "state.db", tmp_path / "backup.db")
    server.start()
    fill(server, ["b", "c"])
    assert server.stop() == 0
    shutil.copy(tmp_path / "backup.db", server.data / "state.db")
    said = refused(server)
    assert "store/ has records up to number 3, log/ and state.db know only of 1" in said


def test_a_first_start_that_was_killed_anywhere_can_be_repeated(
    new_server: Callable[..., RunningServer], tmp_path: Path
) -> None:
    """Each step of making a directory leaves something that the next start takes."""
    whole = new_server()
    whole.kill()
    for number, there in enumerate(
        (["FORMAT"], ["FORMAT", "NODE"], ["FORMAT", "NODE", "store"], ["FORMAT", "NODE", "store", "state.db"])
    ):
        data = tmp_path / f"partly{number}"
        data.mkdir()
        for name in there:
            source = whole.data / name
            shutil.copytree(source, data / name, symlinks=True) if source.is_dir() else shutil.copy(source, data / name)
        server = new_server(data=data)
        fill(server, ["a"])
        server.kill()


# -- away while it is used ---------------------------------------------------------------------------------------------


def test_a_directory_that_is_moved_away_is_waited_for(new_server: Callable[..., RunningServer], tmp_path: Path) -> None:
    server = new_server()
    fill(server, [f"before {n}" for n in range(100)])
    server.data.rename(tmp_path / "elsewhere")
    assert_it_waits(server, "the data directory is not there")
    for path in ("/api/v1/search?q=before", "/api/v1/stats?q=*|stats+uniq(message)"):
        answer = server.client.get(path)
        assert answer.status_code in (200, 503), answer.text
        assert str(tmp_path) not in answer.text
    (tmp_path / "elsewhere").rename(server.data)
    assert_it_goes_on(server, 100)


def test_a_directory_that_turns_read_only_is_waited_for(tmp_path: Path) -> None:
    """A mount that may only be read comes over it, in a mount namespace of the server's own."""
    data = tmp_path / "data"
    server = Inside(data)
    try:
        fill(server, [f"before {n}" for n in range(100)])
        server.run("mount", "--bind", str(data), str(data))
        server.run("mount", "-o", "remount,bind,ro", str(data))
        assert_it_waits(server, "the data directory cannot be written")
        assert server.client.get("/api/v1/search?q=before").status_code == 200
        server.run("umount", str(data))
        assert_it_goes_on(server, 100)
    finally:
        server.close()


def test_a_directory_whose_disk_is_unmounted_is_waited_for(tmp_path: Path) -> None:
    data = tmp_path / "data"
    server = Inside(data)
    try:
        fill(server, [f"before {n}" for n in range(100)])
        server.run("mount", "-t", "tmpfs", "tmpfs", str(tmp_path))
        assert_it_waits(server, "the data directory is not there")
        server.run("umount", str(tmp_path))
        assert_it_goes_on(server, 100)
    finally:
        server.close()


class Inside(RunningServer):
    """A server in a mount namespace that a sleeping process keeps."""

    def __init__(self, data: Path) -> None:
        keeper = ["unshare", "--mount", "sh", "-c", "echo ready && exec sleep infinity"]
        self._keeper = subprocess.Popen(keeper, stdout=subprocess.PIPE, text=True)
        assert self._keeper.stdout is not None
        assert self._keeper.stdout.readline() == "ready\n", "mounts of its own are needed: run as root"
        self._enter = ["nsenter", f"--mount=/proc/{self._keeper.pid}/ns/mnt", "--"]
        super().__init__(data)

    def start(self) -> None:
        self.wrapper = self._enter
        super().start()

    def run(self, *command: str) -> None:
        """A command inside."""
        subprocess.run([*self._enter, *command], check=True, timeout=20)

    def close(self) -> None:
        if self.process.poll() is None:
            self.kill()
        self._keeper.kill()
        self._keeper.wait()
        assert self._keeper.stdout is not None
        self._keeper.stdout.close()


def assert_it_waits(server: RunningServer, reason: str) -> None:
    """Nothing is taken, everybody hears why, and the log says it once."""
    for _ in range(30):
        answer = server.client.post("/api/v1/logs", json={"message": "during"})
        assert answer.status_code == 503, answer.text
        assert reason in answer.json()["error"]["message"]
        assert int(answer.headers["Retry-After"]) > 0
        time.sleep(0.1)
    ready = server.client.get("/ready")
    assert ready.status_code == 503
    assert reason in ready.text
    assert server.client.get("/health").status_code == 200
    said = server.log_path.read_text()
    assert said.count(reason) == 1, said
    assert "Traceback" not in said


def assert_it_goes_on(server: RunningServer, records: int) -> None:
    deadline = time.monotonic() + 30
    while (answer := server.client.post("/api/v1/logs?wait=searchable", json={"message": "after"})).status_code != 200:
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.1)
    while (ready := server.client.get("/ready")).status_code != 200:
        assert time.monotonic() < deadline, ready.text
        time.sleep(0.1)
    assert stored(server) == records + 1
    assert server.status()["problems"] == []
    server.kill()
    server.start()
    assert stored(server) == records + 1


@pytest.fixture(autouse=True)
def nothing_stays(tmp_path: Path) -> Iterator[None]:
    yield
    shutil.rmtree(tmp_path / "data", ignore_errors=True)
