"""`POST /api/v1/logs?format=..`: a body that is lines, as in a file."""

import gzip
import uuid
from typing import Any

import httpx
import pytest

ACCESS = '10.0.0.1 - - [14/Sep/2024:16:15:35 +0200] "GET /a?b=1 HTTP/1.1" 500 12 "-" "curl/8"\n'


@pytest.fixture
def service() -> str:
    return f"service-{uuid.uuid4().hex}"


def post(server: Any, body: bytes | str, headers: dict[str, str] | None = None, /, **parameters: str) -> httpx.Response:
    sent = {"wait": "searchable", "format": "auto", **parameters}
    answer: httpx.Response = server.client.post("/api/v1/logs", params=sent, content=body, headers=headers)
    return answer


def stored(server: Any, service: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = server.search(q=f"service:{service}", order="asc")
    return rows


def test_lines_have_their_time_and_level(server: Any, service: str) -> None:
    body = "\ufeff2024-09-14 16:15:35,123 ERROR größer als 5\r\n\n2024-09-14 16:15:36 started"
    answer = post(server, body.encode(), service=service, zone="+02:00")
    assert answer.json() == {"accepted": 2, "rejected": 0, "errors": [], "duplicate": False, "searchable": True}
    found = [(row["timestamp"], row.get("level"), row["message"]) for row in stored(server, service)]
    assert found == [
        ("2024-09-14T14:15:35.123Z", "error", "2024-09-14 16:15:35,123 ERROR größer als 5"),
        ("2024-09-14T14:15:36Z", None, "2024-09-14 16:15:36 started"),
    ]


def test_a_zone_may_be_written_with_a_plus_sign(server: Any, service: str) -> None:
    path = f"/api/v1/logs?wait=searchable&format=text&zone=+02:00&service={service}"
    assert server.client.post(path, content=b"2024-09-14 16:15:35 x").status_code == 200
    assert stored(server, service)[0]["timestamp"] == "2024-09-14T14:15:35Z"


def test_a_format_is_recognised_or_named(server: Any, service: str) -> None:
    assert post(server, ACCESS * 3, service=service).json()["accepted"] == 3
    assert [row["status"] for row in stored(server, service)] == [500] * 3
    other = f"{service}-text"
    assert post(server, ACCESS, format="text", service=other).json()["accepted"] == 1
    assert "status" not in stored(server, other)[0]


def test_a_stack_trace_is_one_record(server: Any, service: str) -> None:
    body = b"""2024-09-14T16:15:35Z ERROR it broke
java.io.IOException: closed
\tat com.example.Main.run(Main.java:3)
2024-09-14T16:15:36Z INFO again
"""
    assert post(server, body, service=service, multiline="indent").json()["accepted"] == 2
    first, second = stored(server, service)
    assert (first["timestamp"], first["message"].count("\n")) == ("2024-09-14T16:15:35Z", 2)
    assert second["message"] == "2024-09-14T16:15:36Z INFO again"
    # A format that has one line a record is read line by line.
    assert post(server, ACCESS * 3, service=f"{service}-access", multiline="indent").json()["accepted"] == 3


def test_each_bad_line_is_refused_alone(server: Any, service: str) -> None:
    body = b'{"a":1}\n\n{"a":2}\nnot JSON\n{"a":3,"service":"own"}\n'
    answer = post(server, body, service=service).json()
    assert (answer["accepted"], answer["rejected"]) == (3, 1)
    assert answer["errors"][0]["line"] == 4
    assert [row["a"] for row in stored(server, service)] == [1, 2]


def test_a_compressed_body_with_a_key_is_stored_once(server: Any, service: str) -> None:
    headers = {"Content-Encoding": "gzip", "Idempotency-Key": service}
    body = gzip.compress(b"2024-09-14T16:15:35Z WARN x\n" * 1000)
    answers = [post(server, body, headers, service=service).json() for _ in range(2)]
    assert [(answer["accepted"], answer["duplicate"]) for answer in answers] == [(1000, False), (1000, True)]
    # With another zone it is another content.
    assert post(server, body, headers, service=service, zone="+05:00").status_code == 422
    assert len(server.search(q=f"service:{service} level:warn", limit=5000)) == 1000


@pytest.mark.parametrize(
    ("body", "parameters", "message"),
    [
        (b"x", {"format": "xml"}, "unknown format 'xml'"),
        (b"x", {"multiline": "^x"}, "parameter 'multiline' is 'indent', not '^x'"),
        (b"x", {"zone": "Mars/Olympus"}, "unknown time zone 'Mars/Olympus'"),
        (b"x", {"format": "", "zone": "UTC"}, "parameter 'zone' is for lines"),
        (b"x", {"format": "", "multiline": "indent"}, "parameter 'multiline' is for lines"),
        (b"x", {"format": "", "service": "web"}, "parameter 'service' is for lines"),
        (b"", {}, "the body has no line"),
        (b"\n\r\n", {}, "the body has no line"),
        ("text".encode("utf-16"), {}, "the body is not text: it has zero bytes"),
        (gzip.compress(b"text\n" * 9, mtime=0), {}, "the body is not text: it has zero bytes"),
        (b"x", {"format": "json"}, "none of 1 records is acceptable; line 1: not JSON"),
    ],
)
def test_what_cannot_be_read_is_refused(server: Any, body: bytes, parameters: dict[str, str], message: str) -> None:
    answer = post(server, body, **parameters)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith(message)


def test_a_line_that_is_too_long_is_refused_alone(new_server: Any, service: str) -> None:
    server = new_server(LOGRIVER_MAX_RECORD_BYTES="1000")
    answer = post(server, b"short\n" + b"x" * 1001 + b"\nlast", service=service).json()
    assert (answer["accepted"], answer["rejected"], answer["errors"][0]["line"]) == (2, 1, 2)
    assert [row["message"] for row in stored(server, service)] == ["short", "last"]


def test_many_short_lines_are_read_in_pieces(server: Any, service: str) -> None:
    refused = {3, 400_001, 400_003}
    lines = ["" if number == 2 else "x" if number in refused else "{}" for number in range(1, 400_004)]
    answer = post(server, "\n".join(lines), format="json", service=service).json()
    assert (answer["accepted"], answer["rejected"]) == (399_999, 3)
    assert {error["line"] for error in answer["errors"]} == refused


def test_a_record_of_many_lines_is_not_cut_between_pieces(server: Any, service: str) -> None:
    record = "2024-09-14T16:15:35Z ERROR it broke\n" + f"\tat {'x' * 900}\n" * 900
    answer = post(server, record * 3, service=service, multiline="indent").json()
    assert answer["accepted"] == 3
    assert {row["message"].count("\n") for row in stored(server, service)} == {900}


def test_very_short_lines_are_bounded_by_what_they_become(new_server: Any, service: str) -> None:
    server = new_server(LOGRIVER_MAX_BODY_BYTES="1000000", LOGRIVER_MAX_RECORD_BYTES="1000000")
    for name in ("text", "json"):
        answer = post(server, b"x\n" * 400_000, format=name, service=service)
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")
    assert post(server, b"x\n" * 20_000, format="text", service=service).json()["accepted"] == 20_000
