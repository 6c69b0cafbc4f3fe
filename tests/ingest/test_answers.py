"""What every answer has in common, whoever gives it; and WebSockets that are refused or misused."""

import base64
import json
import struct
from typing import Any

import psutil
import pytest

from logriver.ship.frames import CHANNEL_PATH
from tests.ingest.raw_client import RawClient, connected
from tests.ingest.web_serving import wait_until

CHANNEL = CHANNEL_PATH.encode()
KEY = base64.b64encode(b"0123456789abcdef")
UPGRADE = b"Host: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
HANDSHAKE = UPGRADE + b"Sec-WebSocket-Key: " + KEY + b"\r\n"


def handshake(path: bytes = CHANNEL, more: bytes = b"") -> bytes:
    return b"GET " + path + b" HTTP/1.1\r\n" + HANDSHAKE + more + b"\r\n"


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/health", {}, 200),
        ("GET", "/", {}, 200),
        ("GET", "/login", {}, 200),
        ("GET", "/metrics", {}, 200),
        ("GET", "/api/v1/search", {"Accept": "text/csv"}, 200),
        ("GET", "/api/v1/search", {"Accept": "application/x-ndjson"}, 200),
        ("POST", "/api/v1/logs", {}, 400),
        ("GET", "/nothing", {}, 404),
        ("DELETE", "/api/v1/search", {}, 405),
        ("GET", "/api/v1/search", {"Host": "evil.example"}, 403),
        ("GET", "/api/v1/search", {"X-Forwarded-For": "192.0.2.1"}, 401),
    ],
)
def test_no_answer_is_to_be_taken_for_another_type(
    server: Any, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    answer = server.client.request(method, path, headers=headers)
    assert answer.status_code == status
    assert answer.headers.get_list("x-content-type-options") == ["nosniff"]
    if status >= 400:
        assert set(answer.json()["error"]) == {"code", "message", "position", "hint"}


def test_a_record_on_the_fast_path_is_answered_with_the_same_headers(server: Any) -> None:
    for _ in range(3):
        answer = server.client.post("/api/v1/logs", content=b'{"message":"headers"}')
        assert answer.headers.get_list("x-content-type-options") == ["nosniff"]


REFUSED = {
    "a stranger": (handshake(more=b"X-Forwarded-For: 192.0.2.1\r\n"), 401, "unauthenticated"),
    "a foreign page": (handshake(more=b"Origin: http://evil.example\r\n"), 403, "forbidden"),
    "another address": (handshake(b"/nothing"), 404, "not_found"),
    "no key": (b"GET " + CHANNEL + b" HTTP/1.1\r\n" + UPGRADE + b"\r\n", 400, "bad_request"),
    "a bad key": (handshake().replace(KEY, b"short"), 400, "bad_request"),
    "another version": (handshake().replace(b"Version: 13", b"Version: 99"), 400, "bad_request"),
    "HTTP/1.0, which may be a proxy": (handshake().replace(b"HTTP/1.1", b"HTTP/1.0"), 401, "unauthenticated"),
    "many headers": (handshake(more=b"a: b\r\n" * 140), 431, "headers_too_large"),
    "a long header": (handshake(more=b"a: " + b"b" * 9000 + b"\r\n"), 431, "headers_too_large"),
    "a long target": (handshake(CHANNEL + b"?" + b"a" * 9000), 414, "target_too_long"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_websocket_is_answered_in_json_and_is_no_error_of_the_server(server: Any, name: str) -> None:
    sent, status, code = REFUSED[name]
    logged = server.log_path.stat().st_size
    with connected(server) as client:
        client.send(sent)
        answer = client.answer()
        assert (answer.status, answer.code) == (status, code)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert client.closed()
    server.client.get("/health")
    lines = [json.loads(line) for line in server.log_path.read_bytes()[logged:].splitlines()]
    assert [line for line in lines if line["level"] not in ("info", "warn")] == []


def test_a_handshake_with_a_body_is_an_ordinary_request(server: Any) -> None:
    with connected(server) as client:
        client.send(handshake(more=b"Content-Length: 3\r\n") + b"abc")
        answer = client.answer()
        assert (answer.status, answer.code) == (404, "not_found")


def frame(opcode: int, data: bytes, *, final: bool = True) -> bytes:
    head = bytes([(0x80 if final else 0) | opcode])
    if len(data) < 126:
        return head + bytes([0x80 | len(data)]) + bytes(4) + data
    return head + bytes([0x80 | 127]) + struct.pack("!Q", len(data)) + bytes(4) + data


def opened(server: Any) -> RawClient:
    client = RawClient(server.url)
    client.send(handshake())
    assert client.answer().status == 101
    return client


@pytest.mark.parametrize(
    "sent",
    [
        frame(2, b"", final=False) + frame(0, b"", final=False) * 2_000,
        b"\x82\xff" + b"\xff" * 8,
        frame(2, b"x" * 100) * 3,
        frame(1, b"\xff\xff"),
        frame(3, b""),
        b"\xff" * 1000,
        b"\x82\x05plain",
    ],
    ids=["empty fragments", "a huge size", "no frames of ours", "no text", "no opcode", "noise", "no mask"],
)
def test_frames_that_no_agent_sends_end_the_channel(server: Any, sent: bytes) -> None:
    client = opened(server)
    client.send(sent)
    client.closed()
    client.close()
    assert server.client.get("/health").status_code == 200
    assert "Traceback" not in server.log_path.read_text()


def test_pings_without_end_whose_answers_are_not_read_take_no_memory(server: Any) -> None:
    client = opened(server)
    process = psutil.Process(server.process.pid)
    before = process.memory_info().rss
    client.socket.settimeout(2)
    pings = frame(9, b"x" * 125) * 8_000
    for _ in range(50):
        try:
            client.socket.sendall(pings)
        except OSError:
            break
    wait_until(lambda: process.memory_info().rss - before < 20_000_000)
    client.close()
