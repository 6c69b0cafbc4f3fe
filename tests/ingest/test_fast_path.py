"""The fast path of small requests answers and keeps the same as the slow path, and never hangs or answers twice.

A connection's first request teaches it the head, so what a test is about comes behind an accepted one.
"""

import json
import socket
import uuid
from typing import Any

import httpx
import pytest

ACCEPTED = (200, {"accepted": 1, "rejected": 0, "errors": [], "duplicate": False})
HEAD = b"POST /api/v1/logs HTTP/1.1\r\nHost: 127.0.0.1\r\n"
BODY = b'{"message":"odd"}'
ODD_REQUESTS = {
    "foreign host": b"POST /api/v1/logs HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 17\r\n\r\n" + BODY,
    "no host": b"POST /api/v1/logs HTTP/1.1\r\nContent-Length: 17\r\n\r\n" + BODY,
    "foreign page": HEAD + b"Content-Length: 17\r\nOrigin: http://evil.example\r\n\r\n" + BODY,
    "proxy": HEAD + b"Content-Length: 17\r\nX-Forwarded-For: 10.0.0.1\r\n\r\n" + BODY,
    "two hosts": HEAD + b"Host: localhost\r\nContent-Length: 17\r\n\r\n" + BODY,
    "two lengths": HEAD + b"Content-Length: 17\r\nContent-Length: 17\r\n\r\n" + BODY,
    "length with a sign": HEAD + b"Content-Length: +17\r\n\r\n" + BODY,
    "length with a space": HEAD + b"Content-Length: 1 7\r\n\r\n" + BODY,
    "length of other digits": HEAD + "Content-Length: \u0661\u0667\r\n\r\n".encode() + BODY,
    "no length": HEAD + b"\r\n",
    "length 0": HEAD + b"Content-Length: 0\r\n\r\n",
    "chunked": HEAD + b"Transfer-Encoding: chunked\r\n\r\n11\r\n" + BODY + b"\r\n0\r\n\r\n",
    "not JSON": HEAD + b"Content-Length: 1\r\n\r\n{",
    "refused": HEAD + b"Content-Length: 17\r\n\r\n" + b'{"timestamp":"x"}',
    "half of two": HEAD + b"Content-Length: 10\r\n\r\n" + b'{"a":[1,2}',
    "two records": HEAD + b"Content-Length: 35\r\n\r\n" + BODY + b"\n" + BODY,
    "array": HEAD + b"Content-Length: 19\r\n\r\n[" + BODY + b"]",
    "byte order mark": HEAD + b"Content-Length: 20\r\n\r\n\xef\xbb\xbf" + BODY,
    "other path": b"POST /api/v1/log HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 17\r\n\r\n" + BODY,
    "other method": b"GET /api/v1/status HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "no HTTP": b"hello\r\n\r\n",
}


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
        head, empty_line, rest = data.partition(b"\r\n\r\n")
        length = next(
            (int(line[16:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length: ")), 0
        )
        if empty_line and len(rest) >= length:
            found.append((int(head.split()[1]), json.loads(rest[:length])))
            data = rest[length:]
            continue
        piece = connection.recv(65536)
        assert piece, "the server closed"
        data += piece
    return found


def answer_bytes(connection: socket.socket) -> bytes:
    """The head and what there is of the body of one answer."""
    data = b""
    while b"\r\n\r\n" not in data or not data.partition(b"\r\n\r\n")[2]:
        piece = connection.recv(65536)
        if not piece:
            break
        data += piece
    return data


def shape(answer: bytes) -> tuple[bytes, list[bytes]]:
    """Status line and names of the headers; for a refusal the body too."""
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    return lines[0], [line.partition(b":")[0] for line in lines[1:]] + ([body] if b" 200 " not in lines[0] else [])


def numbers(server: Any, run: str) -> list[int]:
    server.client.post("/api/v1/logs?wait=searchable", json={"message": "the last"}).raise_for_status()
    return sorted(row["number"] for row in server.search(q=f"run:{run}", limit=1000))


@pytest.fixture
def run() -> str:
    return f"run{uuid.uuid4().hex}"


def test_both_paths_answer_alike(server: Any, run: str) -> None:
    fast = server.client.post("/api/v1/logs", content=record(run, 1))
    slow = server.client.post("/api/v1/logs", content=record(run, 2), headers={"Idempotency-Key": run})
    assert fast.status_code == slow.status_code == 200
    assert fast.json() == slow.json() == {"accepted": 1, "rejected": 0, "errors": [], "duplicate": False}
    assert fast.headers.keys() == slow.headers.keys()
    assert numbers(server, run) == [1, 2]


def test_many_on_one_connection_one_after_the_other_and_at_once(server: Any, run: str) -> None:
    with connect(server) as connection:
        for number in range(5):
            connection.sendall(post(run, number))
            assert answers(connection, 1)[0][0] == 200
        connection.sendall(b"".join(post(run, number) for number in range(5, 25)))
        assert [status for status, _ in answers(connection, 20)] == [200] * 20
    assert numbers(server, run) == list(range(25))


def test_a_body_in_pieces_takes_the_slow_path(server: Any, run: str) -> None:
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


@pytest.mark.parametrize("name", ODD_REQUESTS)
def test_what_is_odd_is_answered_as_on_a_new_connection(server: Any, run: str, name: str) -> None:
    with connect(server) as connection:
        connection.sendall(ODD_REQUESTS[name])
        first = answer_bytes(connection)
    with connect(server) as connection:
        for number in (1, 2):
            connection.sendall(post(run, number))
            assert answers(connection, 1) == [ACCEPTED]
        connection.sendall(ODD_REQUESTS[name])
        assert shape(answer_bytes(connection)) == shape(first)
    assert numbers(server, run) == [1, 2]


def test_lengths_differ_from_request_to_request(server: Any, run: str) -> None:
    sizes = [0, 9, 10, 99, 1000, 10_000, 16_384, 20_000, 3]
    with connect(server) as connection:
        for number, size in enumerate(sizes):
            body = json.dumps({"run": run, "number": number, "pad": "x" * size}).encode()
            connection.sendall(HEAD + b"content-length: %d\r\nUser-Agent: x\r\n\r\n" % len(body) + body)
            assert answers(connection, 1) == [ACCEPTED]
    assert numbers(server, run) == list(range(len(sizes)))


def test_a_length_that_lies_is_waited_for(server: Any, run: str) -> None:
    with connect(server) as connection:
        connection.sendall(post(run, 1))
        assert answers(connection, 1) == [ACCEPTED]
        connection.sendall(HEAD + b"Content-Length: 40\r\n\r\n" + BODY)
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(20)
        connection.sendall(b" " * (40 - len(BODY)) + post(run, 2))
        assert answers(connection, 2) == [ACCEPTED] * 2
    assert numbers(server, run) == [1, 2]


def test_many_connections_at_once_get_each_their_own_answer(server: Any, run: str) -> None:
    """Bodies that come together are decoded together; a bad one among them is nobody else's trouble."""
    connections = [connect(server) for _ in range(40)]
    for number, connection in enumerate(connections):
        connection.sendall(post(run, number))
    assert [answers(connection, 1) for connection in connections] == [[ACCEPTED]] * 40
    bodies = [record(run, 100 + number) for number in range(40)]
    bodies[7] = b'{"number":[1,'
    bodies[8] = b"2]}"
    bodies[20] = b'{"run":"%b","number":120.5}' % run.encode()
    bodies[30] = b'{"number":1e999}'
    for connection, body in zip(connections, bodies, strict=True):
        connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    statuses = [answers(connection, 1)[0][0] for connection in connections]
    assert [place for place, status in enumerate(statuses) if status != 200] == [7, 8, 30]
    for connection in connections:
        connection.close()
    kept = [100.0 + number for number in range(40) if number not in (7, 8, 20, 30)]
    assert numbers(server, run) == sorted([*range(40), *kept, 120.5])


def test_a_client_that_leaves_does_not_stop_what_it_sent(server: Any, run: str) -> None:
    for number in range(10):
        with connect(server) as connection:
            connection.sendall(post(run, number))
    with connect(server) as connection:
        connection.sendall(post(run, 10))
        assert answers(connection, 1)[0][0] == 200
    assert 10 in numbers(server, run)
