"""Whatever is sent, the answer is clear, what is good beside it is stored and found, and the server goes on."""

import gzip
import json
import socket
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import zstandard

SOCKET_SECONDS = 20
Json = dict[str, Any]


class Sender:
    """What goes into one server and comes out, for the records of one test: they carry `run`, a word of their own."""

    def __init__(self, server: Any) -> None:
        self.server = server
        self.run = uuid.uuid4().hex

    def record(self, **fields: object) -> bytes:
        return json.dumps({"run": self.run, **fields}).encode()

    def text(self, rest: str) -> bytes:
        """A record whose other fields are JSON text, for what Python would not write."""
        return f'{{"run":"{self.run}",{rest}}}'.encode()

    def post(self, content: Any, path: str = "/api/v1/logs", **headers: str) -> httpx.Response:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        answer: httpx.Response = self.server.client.post(f"{path}?wait=searchable", content=content, headers=sent)
        return answer

    def store(self, content: Any, **headers: str) -> Json:
        """Post what has to be accepted, at least in part, and give the answer."""
        answer = self.post(content, **headers)
        assert answer.status_code == 200, answer.text
        counts: Json = answer.json()
        assert counts["searchable"] is True
        return counts

    def find(self, words: str = "") -> list[Json]:
        """This test's rows that match, oldest first, numbers as they are spelled, without what the server adds."""
        parameters = {"q": f"run:{self.run} {words}", "order": "asc", "limit": "1000"}
        answer = self.server.client.get("/api/v1/search", params=parameters)
        assert answer.status_code == 200, answer.text
        rows: list[Json] = json.loads(answer.content, parse_float=Spelled, parse_int=Spelled)["rows"]
        own = {"run", "_id", "_received", "_source"}
        return [{name: value for name, value in row.items() if name not in own} for row in rows]

    def fields(self, words: str = "") -> list[Json]:
        """The same without the time."""
        return [{name: value for name, value in row.items() if name != "timestamp"} for row in self.find(words)]


class Spelled(str):
    """A number as it stands in JSON text."""

    __slots__ = ()


def spelled(text: str) -> Any:
    return json.loads(text, parse_float=Spelled, parse_int=Spelled)


def dead_letters(server: Any) -> int:
    """How many there are now: other tests of the same server may have made some."""
    return int(server.status()["dead_letters"])


def assert_unharmed(server: Any, dead_letters_before: int) -> None:
    """A good record is accepted and found, nothing became a dead letter, nothing failed unforeseen."""
    sender = Sender(server)
    assert sender.store(sender.record(good="yes"))["accepted"] == 1
    assert sender.fields("good:yes") == [{"good": "yes"}]
    status = server.status()
    assert (status["dead_letters"], status["problems"]) == (dead_letters_before, [])
    assert "request failed" not in server.log_path.read_text()


@pytest.fixture
def sender(server: Any) -> Iterator[Sender]:
    before = dead_letters(server)
    yield Sender(server)
    assert_unharmed(server, before)


def refusal(answer: httpx.Response, status: int, code: str) -> str:
    """The message of an answer that has to be this error in the one shape of errors."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    error = answer.json()["error"]
    assert set(error) == {"code", "message", "position", "hint"}
    assert error["code"] == code
    assert error["message"][0] != error["message"][0].upper() or not error["message"][0].isalpha()
    return str(error["message"])


def raw_request(server: Any, head: str, body: bytes, *, finish: bool = True) -> bytes:
    """What a server answers to bytes on a socket; with `finish` nothing more is going to be sent."""
    url = httpx.URL(server.url)
    with socket.create_connection((url.host, url.port or 80), timeout=SOCKET_SECONDS) as connection:
        connection.sendall(f"POST /api/v1/logs HTTP/1.1\r\nHost: {url.host}\r\n{head}\r\n\r\n".encode() + body)
        if finish:
            connection.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
        return answer


# -- nothing acceptable ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"", b" \r\n\t", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"])
def test_an_empty_body_is_refused(sender: Sender, body: bytes) -> None:
    assert refusal(sender.post(body), 400, "bad_body") == "the body is empty"


@pytest.mark.parametrize(
    "body",
    [
        b"hello world",
        b"5",
        b'"text"',
        b"null",
        b"true",
        b"[1, 2]",
        b'["a"]',
        b"[[{}]]",
        b"{",
        b'{"a"}',
        b'{"a":1',
        b"{'a':1}",
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":1e999}',
        b'{"a":-1e999}',
        b'{"a":18446744073709551616}',
        b'{"a":-9223372036854775809}',
        b'{"a":01}',
        b'{"a":"\x00"}',
        b'{"a":"\xff"}',
        b'{"\xc3":1}',
        b'{"a":"\\ud800"}',
        b'{"a":"\\udc00\\ud800"}',
        b'{"message":"\\ud800"}',
        b'{"a":"\\x41"}',
        b'{"a":' * 1000 + b"1" + b"}" * 1000,
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"timestamp":"9999-01-01T00:00:00Z"}',
        b'{"timestamp":"2262-04-12T00:00:00Z"}',
        b'{"timestamp":"1899-12-31T23:59:59Z"}',
        b'{"timestamp":"yesterday"}',
        b'{"timestamp":"2023-02-30T00:00:00Z"}',
        b'{"timestamp":1e300}',
        b"\x00" * 1000,
        b"\x1f\x8b\x08\x00 not announced as gzip",
        b'{"log":"' + b"x" * 10_000_000 + b'"}',
        b"{" + b",".join(b'"k%d":1' % number for number in range(100_000)) + b"}",
    ],
    ids=lambda body: repr(body[:24]),
)
def test_a_body_without_a_record_says_why(server: Any, body: bytes) -> None:
    answer = Sender(server).post(body)
    message = refusal(answer, 400, "bad_body")
    counts = answer.json()
    if body[:1] != b"[":
        assert (counts["accepted"], counts["rejected"], counts["errors"][0]["line"]) == (0, 1, 1)
        assert counts["errors"][0]["reason"] in message
    assert len(message) < 300


def test_after_all_those_the_server_is_unharmed(server: Any) -> None:
    assert_unharmed(server, dead_letters(server))


# -- the good beside the bad -------------------------------------------------------------------------------------------

BAD_LINES = [
    (b"not JSON", "not JSON: invalid character"),
    (b"5", "not a JSON object"),
    (b"[]", "not a JSON object"),
    (b'{"a":NaN}', "invalid character"),
    (b'{"a":1e999}', "64 bits"),
    (b'{"a":1} {"b":2}', "trailing"),
    (b'{"a":18446744073709551616}', "64 bits"),
    (b'{"a":"\xff\xfe"}', "UTF-8"),
    (b'{"a":"\\ud800", "b":1}', "hex escape"),
    (b'{"a":"\\udc00\\udc00"}', ""),
    (b'{"a":"\x00"}', "invalid character"),
    (b'{"a":' + b"[" * 128 + b"1" + b"]" * 128 + b"}", "nested deeper than 128"),
    (b'{"a":' * 1000 + b"1" + b"}" * 1000, "nested"),
    (b'{"time":"9999-01-01T00:00:00Z"}', "2262-04-11T23:47:16Z"),
    (b'{"time":"noon"}', "not a time: 'noon'"),
    (b'{"log":"' + b"x" * 10_000_000 + b'"}', "limit is 2000000"),
    (b"{" + b",".join(b'"k%d":1' % number for number in range(100_000)) + b"}", "100000 keys"),
]


@pytest.mark.parametrize("filler", [0, 300], ids=["few", "many"])
def test_each_bad_line_is_refused_alone(sender: Sender, filler: int) -> None:
    good = [sender.record(good=str(number), text="x" * 100) for number in range(len(BAD_LINES) + 1 + filler)]
    lines = [line for pair in zip(good, (bad for bad, _ in BAD_LINES), strict=False) for line in pair]
    counts = sender.store(b"\n".join([*lines, *good[len(BAD_LINES) :]]))
    assert counts["accepted"] == len(good)
    assert counts["rejected"] == len(BAD_LINES)
    assert [error["line"] for error in counts["errors"]] == [2 * number + 2 for number in range(len(BAD_LINES))]
    for error, (_, reason) in zip(counts["errors"], BAD_LINES, strict=True):
        assert reason.lower() in error["reason"].lower()
    assert {row["good"] for row in sender.find()} == {str(number) for number in range(len(good))}


def test_many_errors_are_counted_and_the_first_hundred_are_shown(sender: Sender) -> None:
    counts = sender.store(b"\n".join([sender.record(good="yes"), *[b"bad"] * 250]))
    assert (counts["accepted"], counts["rejected"], len(counts["errors"])) == (1, 250, 100)
    assert counts["errors"][99]["line"] == 101


# -- what was accepted is given back and found -------------------------------------------------------------------------

ACCEPTED = [
    ('"a":"x\\u0000y"', "a:x\x00y"),
    ('"a":"\\ud83d\\ude00"', "a:😀"),
    ('"a":"tab\\t newline\\n quote\\" backslash\\\\ cr\\r"', 'a:"tab\t newline\n quote\\" backslash\\\\ cr\r"'),
    ('"a":"\\/\\u00e9"', "a:/é"),
    ('"a":18446744073709551615', "a:18446744073709551615"),
    ('"a":-9223372036854775808', "a:-9223372036854775808"),
    ('"a":9007199254740993', "a:9007199254740993"),
    ('"a":1.50', "a:1.5"),
    ('"a":1E2', "a:100"),
    ('"a":-0.0', "a:0"),
    ('"a":1e-300', "a:1e-300"),
    ('"a":true', "a:true"),
    ('"a":{"b":{"c":[1,{"d":null}]}}', '`a.b.c`:"[1,{\\"d\\":null}]"'),
    ('"a.b":"literal","a":{"b":"path"}', "a.b:literal"),
    ('"a":{"b.c":1,"b":{"c":2}}', "a.b.c:2"),
    ('"":"no name","a":1', "a:1"),
    ('" odd name ":"x"', "` odd name `:x"),
    ('"a\\tb":"x"', "`a\tb`:x"),
    ('"`":"x"', "`" * 4 + ":x"),
    ('"a":' + "[" * 126 + '"deep"' + "]" * 126 + ',"b":1', "b:1"),
    ('"message":{"text":"object"},"level":["list"],"service":5,"host":null', "attributes.service:5"),
    ('"message":"first","msg":"second"', "attributes.msg:second"),
]


@pytest.mark.parametrize(("fields", "words"), ACCEPTED, ids=[words[:30] for _, words in ACCEPTED])
def test_what_was_accepted_is_given_back_as_sent_and_found(sender: Sender, fields: str, words: str) -> None:
    assert sender.store(sender.text(fields))["accepted"] == 1
    names = {"message", "level", "service", "host", "msg"}
    sent = spelled(f"{{{fields}}}")
    expected = {f"attributes.{name}" if name in names else name: value for name, value in sent.items()}
    if sent.get("message") == "first":
        expected["message"] = expected.pop("attributes.message")
    assert sender.fields(words) == [expected]


def test_of_equal_keys_the_last_is_kept_and_nested_ones_stay(sender: Sender) -> None:
    sender.store(sender.text('"a":"first","d":{"k":"one","k":"two"},"a":"last","level":"info","level":"error"'))
    (row,) = sender.fields("a:last level:error d.k:one")
    assert (row["a"], row["level"]) == ("last", "error")
    assert not sender.find("a:first")
    assert not sender.find("d.k:two")
    answer = sender.server.client.get("/api/v1/search", params={"q": f"run:{sender.run}"})
    assert '"d":{"k":"one","k":"two"}' in answer.text


def test_ten_thousand_keys_are_found_by_the_last(sender: Sender) -> None:
    keys = {f"key{number}": str(number) for number in range(9999)}
    sender.store(sender.record(**keys))
    assert sender.fields("key9998:9998") == [keys]
    answer = sender.post(sender.record(**keys, one="more"))
    assert "10001 keys, more than 10000" in refusal(answer, 400, "bad_body")


def test_names_that_an_answer_uses_do_not_become_its_own(sender: Sender) -> None:
    sent = {"_seq": 5, "_source": "mine", "_id": "n-1", "_node": "x", "_received": "never", "attributes": {"a": 1}}
    sender.store(sender.record(**sent))
    answer = sender.server.client.get("/api/v1/search", params={"q": f"run:{sender.run} attributes._seq:5"})
    (row,) = answer.json()["rows"]
    for name, value in sent.items():
        assert row[f"attributes.{name}"] == value
    assert row["_source"] == "http"
    assert row["_id"] != "n-1"
    assert row["_received"].startswith("20")
    assert "_seq" not in row
    assert len(sender.find("attributes._source:mine attributes._id:n-1 attributes._node:x")) == 1
    assert sender.find("_source:mine") == []


@pytest.mark.parametrize(
    ("sent", "given"),
    [
        ("1900-01-01T00:00:00Z", "1900-01-01T00:00:00Z"),
        ("1969-07-20T20:17:40.5Z", "1969-07-20T20:17:40.5Z"),
        ("1969-12-31T23:59:59.999999999Z", "1969-12-31T23:59:59.999999999Z"),
        (0, "1970-01-01T00:00:00Z"),
        (-1.5, "1969-12-31T23:59:58.5Z"),
        ("2262-04-11T23:47:16Z", "2262-04-11T23:47:16Z"),
        (1_694_764_800_123, "2023-09-15T08:00:00.123Z"),
        ("2023-09-15 08:00:00,25", "2023-09-15T08:00:00.25Z"),
        ("2023-09-15T08:00:00.1+02:00", "2023-09-15T06:00:00.1Z"),
    ],
)
def test_times_at_the_edges_are_found_by_their_time(sender: Sender, sent: str | float, given: str) -> None:
    sender.store(sender.record(timestamp=sent))
    assert [row["timestamp"] for row in sender.find()] == [given]
    assert len(sender.find(f"timestamp:{given}")) == 1


def test_two_hundred_days_in_one_body(sender: Sender) -> None:
    days = [
        (datetime(2023, 1, 1, tzinfo=UTC) + timedelta(days=37 * number)).date().isoformat() for number in range(200)
    ]
    records = [sender.record(timestamp=f"{day}T12:00:00Z", day=day) for day in days]
    assert sender.store(b"\n".join(records))["accepted"] == 200
    assert [row["day"] for row in sender.find()] == days
    assert [row["day"] for row in sender.find(f"day:{days[150]}")] == [days[150]]


# -- the shapes of a body ----------------------------------------------------------------------------------------------


def pretty(*records: Json) -> str:
    return "\n".join(json.dumps(record, indent=2) for record in records)


@pytest.mark.parametrize("separator", [b"\n", b"\r\n", b"\r", b"", b" ", b"\n\n\r\n"])
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf", b"\n \t\r\n"])
def test_records_are_told_apart_however_they_are_separated(server: Any, separator: bytes, start: bytes) -> None:
    sender = Sender(server)
    body = start + separator.join(sender.record(n=str(number)) for number in range(3)) + separator
    assert sender.store(body)["accepted"] == 3
    assert {row["n"] for row in sender.find()} == {"0", "1", "2"}


def test_arrays_and_pretty_objects_are_read(sender: Sender) -> None:
    records = [{"run": sender.run, "n": str(number), "nested": {"text": "a\nb"}} for number in range(6)]
    assert sender.store(json.dumps(records[:2]).encode())["accepted"] == 2
    assert sender.store(json.dumps(records[2:4], indent=4).encode())["accepted"] == 2
    assert sender.store(pretty(*records[4:]).encode())["accepted"] == 2
    assert [row["nested"] for row in sender.find()] == [{"text": "a\nb"}] * 6
    assert sender.post(b"[]").json()["accepted"] == 0


def test_an_error_midway_in_values_one_after_the_other_refuses_the_rest(sender: Sender) -> None:
    before, after = {"run": sender.run, "n": "before"}, {"run": sender.run, "n": "after"}
    for body in (
        f"{pretty(before)}\noops\n{pretty(after)}",
        f"{json.dumps(before)}{json.dumps(before)[:-1]}",
        f"{pretty(before)}\n{{\n{pretty(after)}",
    ):
        counts = sender.store(body.encode())
        assert (counts["accepted"], counts["rejected"], counts["errors"][0]["line"]) == (1, 1, 2)
        assert "this and the rest are refused" in counts["errors"][0]["reason"]
    assert {row["n"] for row in sender.find()} == {"before"}


def test_an_error_in_an_array(sender: Sender) -> None:
    good = json.dumps({"run": sender.run, "n": "1"})
    counts = sender.store(f'[{good}, 5, {{"a": 1e999}}, {good}]'.encode())
    assert (counts["accepted"], [error["line"] for error in counts["errors"]]) == (2, [2, 3])
    for broken in (f"[{good}, oops]", f"[{good}", f"[{good}] {good}"):
        assert "not a JSON array" in refusal(sender.post(broken.encode()), 400, "bad_body")
    assert len(sender.find()) == 2


# -- the earlier systems' calls ----------------------------------------------------------------------------------------

RECORD = {
    "level": "error",
    "message": "Failed to connect to DB",
    "resourceId": "server-1234",
    "timestamp": "2023-09-15T08:00:00Z",
    "traceId": "abc-xyz-123",
    "metadata": {"parentResourceId": "server-0987"},
}


def test_the_log_ingestor_takes_all_or_nothing(sender: Sender) -> None:
    record = RECORD | {"run": sender.run}
    for body in (record, [record, record]):
        answer = sender.post(json.dumps(body).encode(), "/")
        assert answer.status_code == 200
        assert answer.json()["message"] == "logs enqueued for ingestion"
    answer = sender.post(json.dumps({"run": sender.run, "timestamp": "never"}).encode(), "/")
    assert answer.status_code == 400
    assert answer.json() == {"message": ["this field is required"], "timestamp": ["not a time: 'never'"]}
    answer = sender.post(json.dumps([record, record | {"message": 5}]).encode(), "/")
    assert answer.status_code == 400
    assert answer.json() == [{}, {"message": ["not a text"]}]
    answer = sender.post(json.dumps([record]).encode()[:-1] + b',{"message":"x","a":1e999}]', "/")
    assert "64 bits" in refusal(answer, 400, "bad_body")
    assert refusal(sender.post(b" ", "/"), 400, "bad_body") == "the body is empty"
    for body_text in (b"", b"text", b"5", b"[5]", b"[", b'{"message":"\xff"}'):
        assert sender.post(body_text, "/").status_code == 400
    assert_unharmed(sender.server, dead_letters(sender.server))
    assert len(sender.find()) == 3


def test_the_other_log_ingestor(sender: Sender) -> None:
    for path in ("/logs/ingest/", "/logs/ingest"):
        answer = sender.post(json.dumps(RECORD | {"run": sender.run}).encode(), path)
        assert answer.status_code == 200
        assert answer.json() == {"status": True, "message": "Data updated"}
    answer = sender.post(b'{"run":"x","a":1e999}', "/logs/ingest/")
    assert answer.status_code == 400
    assert set(answer.json()) == {"status", "message"}
    assert answer.json()["status"] is False
    assert_unharmed(sender.server, dead_letters(sender.server))
    assert len(sender.find()) == 2
    assert {row["level"] for row in sender.find("traceId:abc-xyz-123")} == {"error"}


# -- bytes that lie ----------------------------------------------------------------------------------------------------


def test_a_declared_length_that_is_too_long_stores_nothing(sender: Sender) -> None:
    record = sender.record(n="1")
    assert b"200 OK" not in raw_request(sender.server, f"Content-Length: {len(record) + 5}", record)
    assert_unharmed(sender.server, dead_letters(sender.server))
    assert sender.find() == []


def test_a_declared_length_that_is_too_short_cuts_the_body_there(sender: Sender) -> None:
    first, second = sender.record(n="1"), sender.record(n="2")
    answer = raw_request(sender.server, f"Content-Length: {len(first)}", first + second)
    assert b"HTTP/1.1 400" in answer
    assert_unharmed(sender.server, dead_letters(sender.server))
    # What was declared is a whole request: it may be stored, although its connection was closed before the answer.
    assert sender.find("n:2") == []


@pytest.mark.parametrize("length", ["-1", "abc", "1e3", "99999999999999999999999", "5, 6"])
def test_a_declared_length_that_is_none_is_refused(sender: Sender, length: str) -> None:
    answer = raw_request(sender.server, f"Content-Length: {length}", sender.record())
    assert answer.split(b" ", 2)[1] in (b"400", b"413")


def test_a_client_that_leaves_midway_leaves_nothing(sender: Sender) -> None:
    url = httpx.URL(sender.server.url)
    record = sender.record(n="1")
    for head in ("Content-Length: 60000000", "Transfer-Encoding: chunked"):
        for _ in range(5):
            with socket.create_connection((url.host, url.port or 80), timeout=SOCKET_SECONDS) as connection:
                connection.sendall(f"POST /api/v1/logs HTTP/1.1\r\nHost: localhost\r\n{head}\r\n\r\n".encode())
                connection.sendall(b"%x\r\n" % len(record) + record if "chunked" in head else record)
    # Each had reserved half of what may be in flight at one time.
    assert_unharmed(sender.server, dead_letters(sender.server))
    assert sender.find() == []


def test_chunks_are_put_together(sender: Sender) -> None:
    body = b"\n".join(sender.record(n=str(number)) for number in range(100))
    assert sender.store(body[at : at + 7] for at in range(0, len(body), 7))["accepted"] == 100
    assert len(sender.find()) == 100


# -- encodings ---------------------------------------------------------------------------------------------------------


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


PACKERS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "zstd": zstd}


@pytest.mark.parametrize("encoding", PACKERS)
def test_compressed_bodies_of_one_and_of_several_parts(sender: Sender, encoding: str) -> None:
    pack = PACKERS[encoding]
    lines = [sender.record(n=str(number)) + b"\n" for number in range(4)]
    assert sender.store(pack(lines[0] + lines[1]), content_encoding=encoding)["accepted"] == 2
    assert sender.store(pack(lines[2]) + pack(b"") + pack(lines[3]), content_encoding=encoding.upper())["accepted"] == 2
    assert {row["n"] for row in sender.find()} == {"0", "1", "2", "3"}


@pytest.mark.parametrize("encoding", PACKERS)
def test_broken_compressed_bodies_are_refused_whole(sender: Sender, encoding: str) -> None:
    packed = PACKERS[encoding](b"\n".join(sender.record(n=uuid.uuid4().hex) for _ in range(5000)))
    flipped = bytearray(packed)
    flipped[len(packed) // 2] ^= 0xFF
    for body in (packed[: len(packed) // 2], packed[:-1], packed[:3], bytes(flipped), packed + b"rest", b"plain text"):
        assert encoding in refusal(sender.post(body, content_encoding=encoding), 400, "bad_body")
    assert_unharmed(sender.server, dead_letters(sender.server))
    assert sender.find() == []


def test_an_unknown_encoding_is_named(sender: Sender) -> None:
    for encoding in ("br", "deflate", "gzip, gzip", "x" * 1000):
        message = refusal(sender.post(sender.record(), content_encoding=encoding), 415, "unknown_encoding")
        assert repr(encoding[:40]) in message
    assert sender.store(sender.record(), content_encoding="identity")["accepted"] == 1
