"""A server on a Unix socket: whoever comes by it shows the token; its file comes and goes with it."""

import socket
import ssl
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import unix_connect

from logriver.errors import SettingsError
from logriver.ingest.listen import listeners
from logriver.ingest.unix_socket import removed_at_end
from logriver.ship import frames
from tests.auth.serving import certificate_for, serving
from tests.conftest import RunningServer

NewServer = Callable[..., RunningServer]


def bearer(running: RunningServer) -> dict[str, str]:
    return {"Authorization": f"Bearer {(running.data / 'TOKEN').read_text().strip()}"}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("unix") / "http.sock"


@pytest.fixture(scope="module")
def running(path: Path) -> Iterator[RunningServer]:
    running = RunningServer(path.parent / "data", "--listen", f"unix:{path}")
    yield running
    assert running.stop() == 0
    assert not path.exists()


@pytest.fixture
def client(path: Path) -> Iterator[httpx.Client]:
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), base_url="http://localhost") as client:
        yield client


def test_callers_are_never_local(running: RunningServer, client: httpx.Client) -> None:
    for name in ("localhost", "127.0.0.1:3000", "logs.example"):
        for call in ("/api/v1/status", "/api/v1/search?q=x", "/metrics"):
            assert client.get(call, headers={"Host": name}).status_code == 401
    assert client.post("/api/v1/logs", json={"message": "m"}).status_code == 401
    assert client.get("/api/v1/status", headers=bearer(running)).status_code == 200
    assert running.client.get("/api/v1/status").status_code == 200, "the port beside it is trusted all the same"


def test_what_is_open_is_open(running: RunningServer, client: httpx.Client) -> None:
    for call in ("/health", "/ready", "/login", "/", "/ui/app.js"):
        assert client.get(call).status_code == 200, call


def test_sending_in_both_ways(running: RunningServer, client: httpx.Client) -> None:
    for number in range(3):
        sent = client.post("/api/v1/logs", json={"message": f"by a socket {number}"}, headers=bearer(running))
        assert sent.json()["accepted"] == 1
    client.post("/api/v1/logs?wait=searchable", content=b'{"message":"last"}', headers=bearer(running))
    found = client.get("/api/v1/search", params={"q": "socket"}, headers=bearer(running))
    assert len(found.json()["rows"]) == 3


def test_a_session_behind_a_proxy(running: RunningServer, client: httpx.Client) -> None:
    token = (running.data / "TOKEN").read_text().strip()
    outside = {"Host": "logs.example", "Origin": "https://logs.example", "X-Forwarded-Proto": "https"}
    wrong = client.post("/login", data={"token": "wrong"}, headers=outside)
    right = client.post("/login", data={"token": token}, headers=outside)
    cookie = right.headers["Set-Cookie"]

    assert (wrong.status_code, right.status_code) == (401, 303)
    assert "Secure" in cookie.split("; ")
    session = outside | {"Cookie": cookie.partition(";")[0]}
    assert client.get("/api/v1/status", headers=session).status_code == 200


def test_an_agent_s_channel(running: RunningServer, path: Path) -> None:
    uri = f"ws://localhost{frames.CHANNEL_PATH}"
    with pytest.raises(InvalidStatus) as refused, unix_connect(str(path), uri):
        pass
    assert refused.value.response.status_code == 401
    with unix_connect(str(path), uri, additional_headers=bearer(running)) as channel:
        greeting = frames.Hello(frames.VERSION, "a", "a", "machine", "1", "0.1.0", 1, [], [])
        channel.send(frames.encode(greeting))
        assert isinstance(frames.from_server(channel.recv(20)), frames.Welcome)


def test_anybody_may_connect_and_the_line_says_where(running: RunningServer, path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o666
    assert running.process.stdout is not None
    assert running.process.stdout.readline() == f"logriver listens on unix:{path}\n"


def test_a_socket_in_use_is_left_alone(running: RunningServer, path: Path) -> None:
    with pytest.raises(OSError, match=f"^unix:{path} cannot be listened on: another process listens on it$"):
        listeners([f"unix:{path}"])
    assert path.is_socket()


def test_a_killed_server_s_socket_is_replaced(new_server: NewServer, tmp_path: Path) -> None:
    path = tmp_path / "http.sock"
    running = new_server("--listen", f"unix:{path}")
    running.kill()
    assert path.is_socket()
    running.start()
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), base_url="http://localhost") as client:
        assert client.get("/health").status_code == 200
    assert running.stop() == 0
    assert not path.exists()


def test_it_speaks_no_tls(tmp_path: Path) -> None:
    path, (certificate, key) = tmp_path / "http.sock", certificate_for(tmp_path, "IP:127.0.0.1")
    tls = ("--tls-cert", str(certificate), "--tls-key", str(key))
    with serving(tmp_path / "data", "--listen", "127.0.0.1:0", "--listen", f"unix:{path}", *tls) as site:
        assert site.outside == f"unix:{path}"
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), base_url="http://localhost") as client:
            assert client.get("/health").status_code == 200
        trust = ssl.create_default_context(cafile=str(certificate))
        assert httpx.get(f"{site.loopback}/health", verify=trust).status_code == 200


def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    taken = tmp_path / "notes"
    taken.write_text("mine")
    with pytest.raises(OSError, match=f"^unix:{taken} cannot be listened on: .*not a socket$"):
        listeners([f"unix:{taken}"])
    assert taken.read_text() == "mine"


def test_where_one_of_several_cannot_be_listened_on_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no such file or directory"):
        listeners([f"unix:{tmp_path}/a", f"unix:{tmp_path}/missing/b"])
    assert list(tmp_path.iterdir()) == []


def test_only_the_own_file_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "a"
    bound = listeners([f"unix:{path}"])
    with bound[0], removed_at_end(bound):
        path.unlink()
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(path))
    assert path.is_socket()


@pytest.mark.parametrize(
    ("address", "message"),
    [("unix:", "no absolute path"), ("unix:a.sock", "no absolute path"), (f"unix:/{'x' * 107}", "107 bytes, not 108")],
)
def test_a_path_that_no_socket_can_have_is_refused(address: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        listeners([address])
