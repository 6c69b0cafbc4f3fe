"""What the Host header may say where no token is shown."""

from typing import Any

from tests.ingest.raw_client import connected


def test_two_hosts_are_never_trusted(server: Any) -> None:
    for hosts in (b"Host: evil.example\r\nHost: localhost\r\n", b"Host: localhost\r\nHost: localhost\r\n"):
        with connected(server) as client:
            client.send(b"GET /api/v1/sources HTTP/1.1\r\n" + hosts + b"\r\n")
            assert client.answer().status == 403


def test_who_names_every_address_is_told_which_one_to_use(server: Any) -> None:
    for host in ("0.0.0.0:8000", "[::]:8000"):
        answer = server.client.get("/api/v1/stats", headers={"host": host})
        assert answer.status_code == 403
        assert "use 127.0.0.1" in answer.json()["error"]["hint"]
