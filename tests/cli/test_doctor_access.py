"""`logriver doctor`: who needs no token, and what it finds of proxies that bring strangers to where nobody does."""

import getpass
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from logriver.cli.doctor import access as doctor_access
from logriver.cli.doctor import server as doctor_server
from logriver.cli.doctor.finding import Finding
from logriver.settings import load
from tests.conftest import RunningServer

CONFIGURATIONS = {
    "nginx": "location / { proxy_pass http://127.0.0.1:3000; }",
    "nginx upstream": "upstream logs { server localhost:3000; keepalive 8; }",
    "Apache": "ProxyPass / http://localhost:3000/",
    "haproxy": "  server logs [::1]:3000 check",
    "Caddy": "reverse_proxy localhost:3000 # logs",
    "Traefik": '        - url: "http://127.0.0.1:3000"',
}
OTHERS = {
    "another port": "proxy_pass http://127.0.0.1:30000;",
    "another machine": "proxy_pass http://10.127.0.0.1:3000;",
    "a name": "proxy_pass http://not-localhost:3000;",
    "a comment": "# proxy_pass http://127.0.0.1:3000;",
    "a socket": "proxy_pass http://unix:/run/logriver/http.sock:;",
}


@pytest.fixture(autouse=True)
def no_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory that stands for all in which proxies are configured."""
    monkeypatch.setattr(doctor_access, "_CONFIGURATIONS", (tmp_path / "missing", tmp_path / "etc"))
    monkeypatch.setattr(doctor_access, "_PROXY_USERS", frozenset())
    folder = tmp_path / "etc" / "conf.d"
    folder.mkdir(parents=True)
    return folder


def finding(name: str = "access", **settings: Any) -> Finding:
    (found,) = [found for found in doctor_access.access(load(**settings)) if found.name == name]
    return found


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_proxy_that_is_configured_is_found(no_proxy: Path, name: str) -> None:
    file = no_proxy / "logs"
    file.write_text(f"# logs\n\n{CONFIGURATIONS[name]}\n")

    found = finding()
    assert (found.verdict, f"'{file}' line 3" in found.says) == ("warn", True)
    assert "--listen unix:" in found.advice
    assert finding(listen=["127.0.0.1:3001"]).verdict == "ok"
    for closed in ({"token": "sixteen characters"}, {"trust_loopback": False}, {"listen": ["0.0.0.0:3000"]}):
        assert finding(**closed) == Finding("ok", "access", "every caller needs the token")


@pytest.mark.parametrize("name", OTHERS)
def test_what_passes_nothing_on_to_it_is_not_found(no_proxy: Path, name: str) -> None:
    (no_proxy / "other").write_bytes(f"{OTHERS[name]}\n".encode() + b"\xff")
    found = finding()
    assert (found.verdict, "no proxy was found" in found.says) == ("ok", True)


def test_only_some_of_many_are_shown(no_proxy: Path) -> None:
    (no_proxy / "many").write_text("proxy_pass http://127.0.0.1:3000;\n" * 10)
    assert finding().says.endswith("and 7 more")


def test_a_connection_of_a_user_that_proxies_run_as_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(server.getsockname()):
            assert finding(listen=[f"127.0.0.1:{port}"]).verdict == "ok"
            monkeypatch.setattr(doctor_access, "_PROXY_USERS", frozenset((getpass.getuser(),)))
            found = finding(listen=[f"127.0.0.1:{port}"])
            assert found.verdict == "warn"
            assert f"user '{getpass.getuser()}' is connected to port {port}" in found.says


def test_a_short_token_is_warned_about() -> None:
    assert finding("token", token="fifteen letters").verdict == "warn"
    assert [found.name for found in doctor_access.access(load(token="sixteen letters!"))] == ["access"]


def test_an_address_that_is_none() -> None:
    assert finding(listen=["nowhere"]).verdict == "fail"


@pytest.mark.parametrize(
    ("address", "host", "status", "verdict"),
    [
        ("http://127.0.0.1:3000", "127.0.0.1", 200, "ok"),
        ("http://localhost:3000", "localhost", 200, "ok"),
        ("http://[::1]:3000", "::1", 200, "ok"),
        ("https://logs.example", "logs.example", 401, "ok"),
        ("https://logs.example", "logs.example", 200, "fail"),
        ("http://10.0.0.1", "10.0.0.1", 200, "fail"),
    ],
)
def test_an_address_that_answers_without_a_token(address: str, host: str, status: int, verdict: str) -> None:
    assert doctor_access.without_token(address, host, status).verdict == verdict


def test_a_socket_and_where_it_would_be(new_server: Callable[..., RunningServer], tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/http.sock"
    assert doctor_server.port(address, is_served=False) == Finding("ok", "port", f"{address} can be made")
    new_server("--listen", address)
    assert doctor_server.port(address, is_served=True) == Finding("ok", "port", f"{address} is there")
    (tmp_path / "file").touch()
    for wrong in (f"unix:{tmp_path}/file", f"unix:{tmp_path}/missing/http.sock", "unix:relative"):
        assert doctor_server.port(wrong, is_served=False).verdict == "fail", wrong
