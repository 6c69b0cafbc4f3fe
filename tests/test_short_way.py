"""The short way of small requests answers and keeps the same as the long way, and never hangs or answers twice."""

import json
import socket
import uuid
from typing import Any

import httpx
import pytest


def record(run: str, number: int) -> bytes:
    return json.dumps({"message": f"{run} number {number}", "run": run, "number": number}).encode()


def post(run: str, number: int, head: str = "") -> bytes:
    body = record(run, number)
    return f"POST /api/v1/logs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n{head}\r\n".encode() + body


def connect(server: Any) -> socket.socket:
    url = httpx.URL(server.url)
    return socket.create_connection((url.host, url.port or 80), timeout=20)


def answers(connection: socket.socket, count: int) -> list[tuple[int, dict[str, Any]]]:
    found: list[tuple[int, dict[str, Any]]] = []
    data = b""
    while len(found) < count:
        head, blank, rest = data.partition(b"\r\n\r\n")
        length = next(
            (int(line[16:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length: ")), 0
        )
        if blank and len(rest) >= length:
            found.append((int(head.split()[1]), json.loads(rest[:length])))
            data = rest[length:]
            continue
        piece = connection.recv(65536)
        assert piece, "the server closed"
        data += piece
    return found


def numbers(server: Any, run: str) -> list[int]:
    server.client.post("/api/v1/logs?wait=searchable", json={"message": "the last"}).raise_for_status()
    return sorted(row["number"] for row in server.search(q=f"run:{run}", limit=1000))


@pytest.fixture
def run() -> str:
    return f"run{uuid.uuid4().hex}"


def test_both_ways_answer_alike(server: Any, run: str) -> None:
    short = server.client.post("/api/v1/logs", content=record(run, 1))
    long = server.client.post("/api/v1/logs", content=record(run, 2), headers={"Idempotency-Key": run})
    assert short.status_code == long.status_code == 200
    assert short.json() == long.json() == {"accepted": 1, "rejected": 0, "errors": [], "duplicate": False}
    assert short.headers.keys() == long.headers.keys()
    assert numbers(server, run) == [1, 2]


def test_many_on_one_connection_one_after_the_other_and_at_once(server: Any, run: str) -> None:
    with connect(server) as connection:
        for number in range(5):
            connection.sendall(post(run, number))
            assert answers(connection, 1)[0][0] == 200
        connection.sendall(b"".join(post(run, number) for number in range(5, 25)))
        assert [status for status, _ in answers(connection, 20)] == [200] * 20
    assert numbers(server, run) == list(range(25))


def test_a_body_in_pieces_takes_the_long_way(server: Any, run: str) -> None:
    with connect(server) as connection:
        request = post(run, 1)
        for at in range(0, len(request), 25):
            connection.sendall(request[at : at + 25])
        assert answers(connection, 1)[0][0] == 200
        connection.sendall(post(run, 2) + post(run, 3)[:-5])
        assert answers(connection, 1)[0][0] == 200
        connection.sendall(post(run, 3)[-5:])
        assert answers(connection, 1)[0][0] == 200
    assert numbers(server, run) == [1, 2, 3]


def test_connection_close_is_honoured(server: Any, run: str) -> None:
    with connect(server) as connection:
        connection.sendall(post(run, 1, "Connection: close\r\n"))
        assert answers(connection, 1)[0][0] == 200
        assert connection.recv(10) == b""
    assert numbers(server, run) == [1]


def test_what_is_wrong_is_worded_by_the_long_way(server: Any, run: str) -> None:
    for body, status in ((b"{", 400), (b"[]", 200), (b"[1]", 400), (b'{"timestamp":"x"}', 400), (b" ", 400)):
        assert server.client.post("/api/v1/logs", content=body).status_code == status
    answer = server.client.post("/api/v1/logs", content=record(run, 1) + b"\n" + record(run, 2))
    assert answer.json()["accepted"] == 2
    assert numbers(server, run) == [1, 2]


def test_a_client_that_leaves_does_not_stop_what_it_sent(server: Any, run: str) -> None:
    for number in range(10):
        with connect(server) as connection:
            connection.sendall(post(run, number))
    with connect(server) as connection:
        connection.sendall(post(run, 10))
        assert answers(connection, 1)[0][0] == 200
    assert 10 in numbers(server, run)
