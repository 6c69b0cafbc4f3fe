"""nginx in front of a server, as people set it up: what strangers who come through it are let do.

`plain` is nothing but `proxy_pass`. `plain-1.1` speaks HTTP/1.1 to the server. `bare-1.1`, which is what nginx does
from 1.29.7 on, cannot be told from a client of this machine; `unix` is what the documents advise.
"""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.commands import logriver
from tests.conftest import RunningServer

CONFIGURATION = """
daemon off; master_process off; pid {directory}/nginx.pid; error_log {directory}/error.log;
events {{}}
http {{
  access_log off; client_max_body_size 0;
  client_body_temp_path {directory}/1; proxy_temp_path {directory}/2; fastcgi_temp_path {directory}/3;
  uwsgi_temp_path {directory}/4; scgi_temp_path {directory}/5;
  {servers}
}}
"""
LOCATIONS = {
    "plain": "proxy_pass http://{server};",
    "plain-1.1": "proxy_http_version 1.1; proxy_pass http://{server};",
    "bare-1.1": 'proxy_http_version 1.1; proxy_set_header Connection ""; proxy_pass http://{server};',
    "forwarding": 'proxy_http_version 1.1; proxy_set_header Connection ""; '
    "proxy_set_header X-Forwarded-For $remote_addr; proxy_pass http://{server};",
    "unix": "proxy_pass http://unix:{socket}:;",
    "unix-1.1": 'proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;'
    "proxy_pass http://unix:{socket}:;",
}
RECOGNISED = [name for name in LOCATIONS if name != "bare-1.1"]
# What a stranger would send who knows how the server tells a proxy.
STRANGERS: tuple[dict[str, str], ...] = (
    {},
    {"Host": "127.0.0.1"},
    {"Host": "localhost", "User-Agent": "", "Accept": "", "Accept-Encoding": ""},
)


class Nginx:
    """`addresses` are those of the locations above."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server
        self.token = (server.data / "TOKEN").read_text().strip()
        self.addresses: dict[str, str] = {}

    def status(self, location: str, **headers: str) -> int:
        """What a caller from elsewhere gets."""
        return httpx.get(f"{self.addresses[location]}/api/v1/status", headers=headers).status_code


@contextmanager
def nginx_before(running: RunningServer, directory: Path, unix_socket: Path) -> Iterator[Nginx]:
    nginx, servers = Nginx(running), []
    for name, location in LOCATIONS.items():
        with socket.create_server(("", 0)) as free:
            port = free.getsockname()[1]
        nginx.addresses[name] = f"http://127.0.0.1:{port}"
        passed = location.format(server=urlsplit(running.url).netloc, socket=unix_socket)
        servers.append(f"server {{ listen {port}; location / {{ {passed} }} }}")
    (directory / "nginx.conf").write_text(CONFIGURATION.format(directory=directory, servers="\n".join(servers)))
    command = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin") or "nginx"
    process = subprocess.Popen(
        [command, "-p", str(directory), "-c", str(directory / "nginx.conf")], stderr=subprocess.DEVNULL
    )
    try:
        wait_for(nginx.addresses["unix"], process)
        yield nginx
    finally:
        process.terminate()
        process.wait(20)


def wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            httpx.get(f"{address}/health").raise_for_status()
        except httpx.HTTPError:
            assert process.poll() is None, "nginx does not run"
            assert time.monotonic() < deadline
            time.sleep(0.02)
        else:
            return


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    directory = tmp_path_factory.mktemp("nginx")
    unix_socket = directory / "http.sock"
    running = RunningServer(directory / "data", "--listen", f"unix:{unix_socket}")
    with nginx_before(running, directory, unix_socket) as before:
        yield before
    assert running.stop() == 0


@pytest.mark.parametrize("location", RECOGNISED)
@pytest.mark.parametrize("headers", STRANGERS, ids=str)
def test_strangers_need_the_token(nginx: Nginx, location: str, headers: dict[str, str]) -> None:
    assert nginx.status(location, **headers) == 401
    assert nginx.status(location, Authorization="Bearer wrong", **headers) in (401, 429)
    assert nginx.status(location, Authorization=f"Bearer {nginx.token}", **headers) == 200


def test_what_cannot_be_told_from_this_machine_is_let_in_and_the_documents_say_so(nginx: Nginx) -> None:
    assert nginx.status("bare-1.1") == 200
    security = (Path(__file__).parents[2] / "docs" / "how-to" / "security.md").read_text()
    assert "nginx from 1.29.7 on" in security
    assert "--listen unix:" in security


def test_doctor_finds_it_by_asking_as_a_stranger(nginx: Nginx, tmp_path: Path, own_address: str) -> None:
    def asked(location: str) -> tuple[int, str]:
        port = urlsplit(nginx.addresses[location]).port
        done = logriver("doctor", "--data", str(tmp_path / "data"), "--server", f"http://{own_address}:{port}")
        return done.returncode, next(line for line in done.stdout.splitlines() if "server access" in line)

    code, line = asked("bare-1.1")
    assert (code, "answers without a token" in line) == (1, True), line
    code, line = asked("unix-1.1")
    assert (code, "needs the token" in line) == (0, True), line


def test_once_a_token_is_set_nothing_is_let_in_by_where_it_comes_from(tmp_path: Path) -> None:
    unix_socket, token = tmp_path / "http.sock", "a token that was set"
    running = RunningServer(tmp_path / "data", "--listen", f"unix:{unix_socket}", environment={"LOGRIVER_TOKEN": token})
    (running.data / "TOKEN").write_text(token)
    with nginx_before(running, tmp_path, unix_socket) as before:
        for location in LOCATIONS:
            assert before.status(location) == 401, location
            assert before.status(location, Authorization=f"Bearer {token}") == 200, location
    assert running.stop() == 0


def test_sending_and_logging_in_through_it(nginx: Nginx) -> None:
    address, bearer = nginx.addresses["unix-1.1"], {"Authorization": f"Bearer {nginx.token}"}
    with httpx.Client(base_url=address) as client:
        for number in range(3):
            sent = client.post("/api/v1/logs", json={"message": f"through a proxy {number}"}, headers=bearer)
            assert sent.json()["accepted"] == 1
        assert client.post("/api/v1/logs", json={"message": "m"}).status_code == 401
        assert client.post("/api/v1/logs?wait=searchable", json={"message": "last"}, headers=bearer).json()[
            "searchable"
        ]

        assert client.post("/login", data={"token": "wrong"}).status_code == 401
        assert client.post("/login", data={"token": nginx.token}).status_code == 303
        assert len(client.get("/api/v1/search", params={"q": "proxy"}).json()["rows"]) == 3


def test_wrong_tokens_lock_out_nobody_behind_the_same_proxy(nginx: Nginx) -> None:
    guesses = [nginx.status("unix", Authorization=f"Bearer guess {number}") for number in range(40)]
    assert set(guesses[:20]) <= {401, 429}
    assert guesses[-1] == 429
    assert nginx.status("unix", Authorization=f"Bearer {nginx.token}") == 200
    assert nginx.status("unix") == 401
