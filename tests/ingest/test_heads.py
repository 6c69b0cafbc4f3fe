"""Heads, trailers and framing that no client sends: each is a clear answer in JSON, and costs the server nothing."""

import json
import time
from typing import Any

import psutil
import pytest

from tests.ingest.raw_client import RawClient, connected

KB = 1024
LIMIT = 64 * KB
LINE = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /api/v1/logs HTTP/1.1\r\nHost: localhost\r\n"
RECORD = b'{"message":"hostile"}'


def chunk(data: bytes, extension: bytes = b"") -> bytes:
    return b"%x%b\r\n%b\r\n" % (len(data), extension, data)


CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"

REFUSED: dict[str, tuple[bytes, int, str]] = {
    "many headers": (LINE + b"a: b\r\n" * 300 + b"\r\n", 431, "headers_too_large"),
    "large headers": (LINE + (b"a: " + b"b" * 4000 + b"\r\n") * 17 + b"\r\n", 431, "headers_too_large"),
    "one long header": (LINE + b"a: " + b"b" * LIMIT + b"\r\n\r\n", 431, "headers_too_large"),
    "a header without end": (LINE + b"a: " + b"b" * 2 * LIMIT, 431, "headers_too_large"),
    "a name without end": (LINE + b"b" * 2 * LIMIT, 431, "headers_too_large"),
    "a long target": (b"GET /health?" + b"a" * LIMIT + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414, "target_too_long"),
    "a target without end": (b"GET /" + b"a" * 2 * LIMIT, 414, "target_too_long"),
    "a method without end": (b"G" * 2 * LIMIT, 414, "target_too_long"),
    "an unknown method": (b"BREW /pot HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, "bad_request"),
    "no HTTP": (b"hello\r\n\r\n", 400, "bad_request"),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\n\n", 400, "bad_request"),
    "bare line feeds": (b"GET /health HTTP/1.1\nHost: localhost\n\n", 400, "bad_request"),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "bad_request"),
    "no path": (b"CONNECT /health HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, "bad_request"),
    "a target of odd bytes": (b"GET /\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, "bad_request"),
    "two lengths": (POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\n{}{}", 400, "bad_request"),
    "length and chunks": (POST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", 400, "bad_request"),
    "unknown transfer coding": (POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n", 400, "bad_request"),
    "a transfer coding twice": (POST + b"Transfer-Encoding: chunked\r\n" * 2 + b"\r\n0\r\n\r\n", 400, "bad_request"),
    "a huge length": (POST + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n", 400, "bad_request"),
    "a large length": (POST + b"Content-Length: 9999999999\r\n\r\n", 413, "too_large"),
    "a folded header": (LINE + b"a: b\r\n c\r\n\r\n", 400, "bad_request"),
    "no name": (LINE + b": b\r\n\r\n", 400, "bad_request"),
    "a space in a name": (LINE + b"a b: c\r\n\r\n", 400, "bad_request"),
    "a NUL": (LINE + b"a: \0\r\n\r\n", 400, "bad_request"),
    "a chunk that is none": (CHUNKED + b"xyz\r\n", 400, "bad_request"),
    "a chunk that is too long": (CHUNKED + b"f" * 20 + b"\r\n", 400, "bad_request"),
    "a chunk without end": (CHUNKED + b"2\r\n{}}\r\n", 400, "bad_request"),
    "large trailers": (CHUNKED + chunk(RECORD) + b"0\r\n" + b"a: b\r\n" * 40_000, 431, "headers_too_large"),
    "a long trailer": (CHUNKED + chunk(RECORD) + b"0\r\na: " + b"b" * 3 * LIMIT, 431, "headers_too_large"),
    "a long extension": (CHUNKED + b"1;" + b"a" * 3 * LIMIT, 431, "headers_too_large"),
    "trailers behind a large body": (
        CHUNKED + chunk(b" " * LIMIT + RECORD) + b"0\r\n" + b"a: b\r\n" * 40_000,
        431,
        "headers_too_large",
    ),
    "many extensions": (CHUNKED + chunk(b"x", b";" + b"a" * 1000) * 400, 431, "headers_too_large"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_client_sends_is_refused_in_json_and_ends_the_connection(server: Any, name: str) -> None:
    sent, status, code = REFUSED[name]
    with connected(server) as client:
        client.send(sent)
        answer = client.answer()
        assert (answer.status, answer.code) == (status, code)
        assert answer.headers["connection"] == "close"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert client.closed()
    assert server.client.get("/health").status_code == 200


TAKEN = {
    "headers up to the limit": LINE + b"a: " + b"b" * (LIMIT - len(LINE) - 7) + b"\r\n\r\n",
    "many small headers": LINE + b"a: b\r\n" * 250 + b"\r\n",
    "a long target": b"GET /health?" + b"a" * (LIMIT - 100) + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "empty lines before": b"\r\n" * 40_000 + LINE + b"\r\n",
    "an absolute target": b"GET http://localhost/health HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "an old client": b"GET /health HTTP/1.0\r\n\r\n",
    "upgrade to what is not known": LINE + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n",
}


@pytest.mark.parametrize("name", TAKEN)
@pytest.mark.parametrize("pieces", [1, 3])
def test_what_is_odd_but_within_the_limits_is_answered(server: Any, name: str, pieces: int) -> None:
    sent = TAKEN[name]
    with connected(server) as client:
        for number in range(pieces):
            client.send(sent[number * len(sent) // pieces : (number + 1) * len(sent) // pieces])
            time.sleep(0.01 if pieces > 1 else 0)
        assert client.answer().status == 200


def test_a_head_may_be_cut_anywhere(server: Any) -> None:
    sent = LINE + b"a: b\r\n\r\n"
    with connected(server) as client:
        for at in range(1, len(sent)):
            client.send(sent[:at])
            time.sleep(0.001)
            client.send(sent[at:])
            assert client.answer().status == 200


def test_trailers_and_extensions_are_passed_over(server: Any) -> None:
    with connected(server) as client:
        for _ in range(2):
            client.send(CHUNKED + chunk(RECORD, b";a=b") + b"0\r\nHost: evil\r\nContent-Encoding: gzip\r\n\r\n")
            assert json.loads(client.answer().body)["accepted"] == 1


@pytest.mark.parametrize("protocol", [b"h2c", b"websocket", b"TLS/1.0"])
@pytest.mark.parametrize(
    "body",
    [
        b"Content-Length: 21\r\n\r\n" + RECORD,
        b"Transfer-Encoding: chunked\r\n\r\n" + chunk(RECORD),
    ],
)
def test_an_upgrade_of_a_post_is_passed_over(server: Any, protocol: bytes, body: bytes) -> None:
    end = b"0\r\n\r\n" if b"chunked" in body else b""
    with connected(server) as client:
        for _ in range(2):
            client.send(POST + b"Connection: Upgrade\r\nUpgrade: " + protocol + b"\r\n" + body + end)
            assert json.loads(client.answer().body)["accepted"] == 1


def test_pipelined_requests_are_answered_in_their_order(server: Any) -> None:
    post = POST + b"Content-Length: 21\r\n\r\n" + RECORD
    with connected(server) as client:
        client.send((LINE + b"\r\n" + post) * 500)
        statuses = [(answer := client.answer()).status for _ in range(1000)]
        assert statuses == [200] * 1000
        assert json.loads(answer.body)["accepted"] == 1


def test_a_flood_of_pipelined_requests_takes_no_memory(new_server: Any) -> None:
    """Requests of 18 bytes whose answers are not read: a request that waits for its turn is only its bytes."""
    server = new_server()
    server.client.get("/health")
    before = resident(server)
    clients = [RawClient(server.url) for _ in range(20)]
    for client in clients:
        client.socket.settimeout(0.2)
        try:
            client.socket.sendall(b"GET / HTTP/1.1\r\n\r\n" * 200_000)
        except TimeoutError:
            continue
    assert resident(server) - before < 60_000_000
    assert server.client.get("/health").status_code == 200
    for client in clients:
        client.close()


def test_a_flood_of_requests_that_wait_to_be_told_to_go_on_takes_no_memory(server: Any) -> None:
    """None sends its body: each is told to go on once, and has a connection's deadline."""
    server.client.get("/health")
    before = resident(server)
    clients = [RawClient(server.url) for _ in range(200)]
    for client in clients:
        client.send(POST + b"Expect: 100-continue\r\nContent-Length: 21\r\n\r\n")
    for client in clients:
        assert client.socket.recv(1000).startswith(b"HTTP/1.1 100")
    assert resident(server) - before < 30_000_000
    assert server.client.get("/health").status_code == 200
    clients[0].send(RECORD)
    assert json.loads(clients[0].answer().body)["accepted"] == 1
    for client in clients:
        client.close()


def resident(server: Any) -> int:
    size: int = psutil.Process(server.process.pid).memory_info().rss
    return size


def cpu_seconds(server: Any) -> float:
    times = psutil.Process(server.process.pid).cpu_times()
    return float(times.user + times.system)


def flood(server: Any, megabytes: int, piece: bytes, first: bytes) -> tuple[int, float, int]:
    """Resident bytes more, CPU seconds, and bytes that the server took."""
    server.client.get("/health")
    memory, cpu = resident(server), cpu_seconds(server)
    with connected(server) as client:
        client.send(first)
        sent = client.flood(piece * (1_000_000 // len(piece)), megabytes)
        return resident(server) - memory, cpu_seconds(server) - cpu, sent


@pytest.mark.parametrize("piece", [b"a: b\r\n", b"a" * 100], ids=["lines", "one line"])
def test_headers_without_end_cost_the_server_nothing(new_server: Any, piece: bytes) -> None:
    server = new_server()
    memory, cpu, sent = flood(server, 120, piece, LINE + b"a: ")
    print(f"{sent / 1e6:.0f} MB of headers: {memory / 1e6:+.1f} MB resident, {cpu:.2f} s of CPU")
    assert memory < 20_000_000
    assert cpu < 2
    assert server.client.get("/health").status_code == 200
