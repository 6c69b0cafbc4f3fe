"""Hostile text in every name, value, pattern, path and parameter: a clear answer, soon, and never a record too many."""

import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import product
from typing import Any
from urllib.parse import quote

import httpx
import psutil
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from logriver.columns import MAX_NAME_LENGTH
from logriver.errors import BadQuery
from logriver.query.hints import suggest
from logriver.query.language import parser
from logriver.query.language.pipe_lexer import MAX_PIPES
from logriver.query.language.repetition import repeated
from logriver.query.sql.binding import MAX_REPEATED
from tests.conftest import RunningServer
from tests.hostile_texts import ASKED, CALLS, LONG, PATTERNS, TEXTS, V1, Call, Json

CPU_SECONDS = 5


@contextmanager
def soon(server: RunningServer, what: object, seconds: float = CPU_SECONDS) -> Iterator[None]:
    """The server takes at most `seconds` of CPU, of all its threads, for what is done inside of the block."""
    process = psutil.Process(server.process.pid)
    before = sum(process.cpu_times()[:2])
    yield
    taken = sum(process.cpu_times()[:2]) - before
    assert taken < seconds, f"{str(what)[:300]}: {taken} s of CPU"


@pytest.fixture(scope="module")
def asked(server: RunningServer) -> RunningServer:
    """The shared server, with records on which bad patterns and long texts have something to do."""
    records = [{"message": "a" * 10_000, "f": "ab" * 5_000}, {"message": "x", "f": 5, "service": "s", "level": "warn"}]
    server.client.post(f"{V1}/logs", params={"wait": "searchable"}, json=records).raise_for_status()
    return server


def assert_answers(server: RunningServer, call: Call, text: str) -> None:
    with soon(server, (call, text)):
        status = call.send(server.client, text)
    assert 200 <= status < 500, f"{status}: {call} with {text[:100]!r}"


def assert_unharmed(server: RunningServer) -> None:
    """Nothing failed unforeseen: the server's internal log has no traceback."""
    assert server.client.get("/ready").status_code == 200
    assert "Traceback" not in server.log_path.read_text()


# -- any text anywhere -------------------------------------------------------------------------------------------------


def test_hostile_texts_in_every_place_get_a_clear_answer(asked: RunningServer) -> None:
    """Each text in some places and some texts in each; `make soak` tries them all."""
    for number, call in enumerate(CALLS):
        for text in [*TEXTS[number % 23 :: 23], *LONG[number % 26 :: 26]]:
            assert_answers(asked, call, text)
    assert_unharmed(asked)


def test_hostile_texts_in_every_construct_get_a_clear_answer(asked: RunningServer) -> None:
    for number, call in enumerate(ASKED):
        for text in [*TEXTS[number % 23 :: 23], *LONG[number % 26 :: 26]]:
            assert_answers(asked, call, text)
    assert_unharmed(asked)


@pytest.mark.soak
def test_every_hostile_text_in_every_place(asked: RunningServer) -> None:
    for call, text in product(CALLS + ASKED, TEXTS + LONG):
        assert_answers(asked, call, text)
    assert_unharmed(asked)


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(call=st.sampled_from(CALLS + ASKED), text=st.text(max_size=80) | st.lists(st.sampled_from(TEXTS)).map("".join))
def test_any_text_anywhere_gets_a_clear_answer(asked: RunningServer, call: Call, text: str) -> None:
    assert_answers(asked, call, text)


ODD_QUERIES = """
    q=%ED%A0%80 q=%ff%fe q=% q=%zz limit=5&limit=x q=a&q=b = &&& q %00=%00 from=now-1d&from=x limit=%D9%A5 limit=1e1
    limit=+5 limit=5%20 limit=0x5 limit=-1 limit=0 limit=99999999999999999999 before=-1 before=1e99 at=-1 from=%2B1
    from=1e400 to=-1e400 from=9999-99-99 to=0000-01-01 from=2262-04-12 from=1899-12-31 buckets=-5 cursor=AAAA cursor=%3D
    cursor=mgHMg8DApGRlc2PT4VgYY98vAACgAADD after=kgL_ id=- id=x-99999999999999999999 from_date=0000-00-00 daily=2
"""
ODD_PATHS = (
    "search stats histogram fields tail suggest context patterns explain dead-letters fields/%ff%ED%A0%80/values"
)


def test_odd_addresses_get_a_clear_answer(asked: RunningServer) -> None:
    for path in [*(f"{V1}/{path}" for path in ODD_PATHS.split()), "/customers/%ff/stats", "/levels", "/docs", "/login"]:
        for query in ODD_QUERIES.split():
            # Bytes: the client would put a stray percent sign right.
            url = httpx.URL(asked.url).copy_with(raw_path=f"{path}?{query}".encode())
            with asked.client.stream("GET", url) as answer:
                assert answer.status_code < 500, f"{path}?{query}"
    assert_unharmed(asked)


ODD_BODIES = [
    b"",
    b"5",
    b"null",
    b'"x"',
    b"[]",
    b"[[]]",
    b"{}",
    b"\0",
    b"\xff\xfe",
    b"q=%ff&limit=%00",
    b"a=b;c",
    b"{" * 50_000,
]
ODD_BODIES += [
    b'{"q":"\\ud800"}',
    b'{"query":"\\udc00"}',
    b'{"rules":[{"field":"message","value":"\\ud800"}]}',
    b'{"q":"\xff"}',
]
ODD_BODIES += [
    b'{"q":[1]}',
    b'{"q":{}}',
    b'{"limit":1e400}',
    b'{"limit":-1,"page":-1,"size":-1}',
    b'{"from":true}',
    b'{"q":' + b"[" * 90_000,
]
ODD_BODIES += [
    b'{"from":99999999999999999999999}',
    b'{"from":-0.0}',
    b'{"query":null}',
    b'{"rules":{}}',
    b'{"rules":[],"page":1e99}',
]
ODD_BODIES += [
    b'{"rules":[],"page":9223372036854775807}',
    b'{"filters":[]}',
    b'{"filters":5}',
    b'{"q":"a","q":"b"}',
    b"x" * 200_000,
]


@pytest.mark.parametrize(
    "path", [f"{V1}/search", f"{V1}/stats", f"{V1}/sql", "/fetch_logs", "/logs/filter/", "/logout"]
)
@pytest.mark.parametrize("content_type", ["application/json", "text/xml", "multipart/form-data", "\xff;;=", ""])
def test_odd_bodies_get_a_clear_answer(asked: RunningServer, path: str, content_type: str) -> None:
    for body in ODD_BODIES:
        answer = asked.client.post(path, content=body, headers={b"Content-Type": content_type.encode("latin-1")})
        assert answer.status_code < 500, f"{body[:100]!r}: {answer.text}"
    assert_unharmed(asked)


# -- exactly the records that hold it ----------------------------------------------------------------------------------


class Stored:
    """A record for each text, which has it as a value, as a word of its message, as a name, and in the known fields."""

    def __init__(self, server: RunningServer, texts: list[str]) -> None:
        self.client = server.client
        self.texts = texts
        self.run = uuid.uuid4().hex
        records = [self._record(number, text) for number, text in enumerate(texts)]
        answer = self.client.post(f"{V1}/logs", params={"wait": "searchable"}, json=records)
        assert (answer.status_code, answer.json()["accepted"]) == (200, len(texts)), answer.text

    def _record(self, number: int, text: str) -> Json:
        named = {f"x{text}": self.run, "number": number, "run": self.run}
        known = {"resourceId": f"{self.run} {text}", "commit": text, "traceId": text, "service": text}
        return {**known, "customer": f"{self.run}{text}", "value": text, "message": f"{self.run} {text} end", **named}

    def search(self, query: str) -> list[int]:
        """The records that the query finds."""
        asked = {"q": f"run:{self.run} {query}", "limit": str(len(self.texts) + 1)}
        answer = self.client.post(f"{V1}/search", json=asked)
        assert answer.status_code == 200, f"{query!r}: {answer.text}"
        return sorted(row["number"] for row in answer.json()["rows"])

    def that(self, holds: Any) -> list[int]:
        """The records whose text is so."""
        return [number for number, text in enumerate(self.texts) if holds(text)]


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def in_backticks(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def is_same(text: str, other: str) -> bool:
    """Whether a field with the one is found by the other: they are equal, or the same number."""
    number = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
    if number.fullmatch(text) and number.fullmatch(other):
        return float(text) == float(other)
    return text == other


@pytest.fixture(scope="module")
def stored(server: RunningServer) -> Stored:
    return Stored(server, list(dict.fromkeys(text for text in TEXTS)))


def test_a_hostile_value_finds_exactly_its_records(stored: Stored) -> None:
    for text in stored.texts:
        equal = stored.that(lambda other, text=text: is_same(other, text))
        assert stored.search(f"value:{quoted(text)}") == equal, text
        assert stored.search(f"commit:({quoted(text)} OR nothing)") == equal, text


def test_a_hostile_value_in_a_column_finds_exactly_its_records(stored: Stored) -> None:
    for text in stored.texts:
        same = stored.that(lambda other, text=text: other == text)
        assert stored.search(f"trace_id:{quoted(text)}") == same, text
        assert stored.search(f"service:[{quoted(text)} TO {quoted(text)}]") == same, text


def test_a_hostile_part_and_pattern_find_exactly_the_records_that_hold_it(stored: Stored) -> None:
    for text in stored.texts:
        holding = stored.that(lambda other, text=text: text in other)
        assert stored.search(f"value:*{quoted(text)}*") == holding, text
        assert stored.search(f"value=~{quoted(re.escape(text))}") == holding, text


def test_a_hostile_name_finds_exactly_its_record(stored: Stored) -> None:
    for number, text in enumerate(stored.texts):
        assert stored.search(f"{in_backticks('x' + text)}:{stored.run}") == [number], text


def test_the_calls_that_count_find_exactly_its_record(stored: Stored) -> None:
    for number, text in enumerate(stored.texts):
        name = "x" + text
        asked = f"run:{stored.run} resourceId:{quoted(f'{stored.run} {text}')}"
        counted = f"{asked} | stats count() as n, min(number) as number by {in_backticks(name)}"
        assert stored.client.post(f"{V1}/stats", json={"q": counted}).json()["rows"] == [[stored.run, 1, number]], text
        # No address has a line end in it.
        if "\n" not in name:
            path = f"{V1}/fields/{quote(name, safe='')}/values"
            values = stored.client.get(path, params={"q": f"run:{stored.run}"}).json()["values"]
            assert values == [{"value": stored.run, "count": 1}], text


def test_the_calls_of_earlier_systems_find_exactly_its_record(stored: Stored) -> None:
    for number, text in enumerate(stored.texts):
        resource = f"{stored.run} {text}"
        fetched = stored.client.post("/fetch_logs", json={"rules": [{"field": "resourceId", "value": resource}]})
        assert [record["commit"] for record in fetched.json()] == [text], text
        asked = [
            {"key": "resourceId", "value": resource, "operation": operation} for operation in ("equals", "contains")
        ]
        found = stored.client.post("/logs/filter/", json=asked)
        assert [record["number"] for record in found.json()["results"]] == [number], text


def test_sql_with_a_hostile_value_finds_exactly_its_record(stored: Stored) -> None:
    for number, text in enumerate(stored.texts):
        escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\0", "\\0")
        sql = f"SELECT number FROM logs WHERE run = '{stored.run}' AND commit = '{escaped}'"
        assert stored.client.post(f"{V1}/sql", json={"query": sql}).json().get("rows") == [[str(number)]], text


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=9), min_size=2, max_size=9)
)
def test_any_value_finds_exactly_its_records(server: RunningServer, texts: list[str]) -> None:
    stored = Stored(server, texts)
    for text in texts:
        assert stored.search(f"value:{quoted(text)}") == stored.that(lambda other, text=text: is_same(other, text))
        assert stored.search(f"value:*{quoted(text)}*") == stored.that(lambda other, text=text: text in other)
        assert stored.search(f"value=~{quoted(re.escape(text))}") == stored.that(lambda other, text=text: text in other)


# -- nothing takes long ------------------------------------------------------------------------------------------------


def test_no_pattern_hangs_it(asked: RunningServer) -> None:
    """Two records of 10 kB make them work; what is beyond a limit is refused, never tried."""
    for pattern, name in product(PATTERNS, ("", "f")):
        with soon(asked, pattern):
            answer = asked.client.post(f"{V1}/search", json={"q": f"{name}=~{quoted(pattern)}", "limit": 1})
        assert answer.status_code in (200, 400), f"{pattern[:60]}: {answer.text}"
        if repeated(pattern) > MAX_REPEATED:
            assert "repeat at most" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("pattern", "count"),
    [
        *[
            ("abc", 0),
            ("a*b+c??", 3),
            ("(ab){3}", 6),
            ("(?:a{10}){10}", 100),
            ("(?i)x*", 1),
            ("[]a]{4}", 4),
            ("a{1,}", 1),
        ],
        *[
            (r"\{5}", 0),
            (r"\Qa*b*\E", 0),
            ("(?P<n>a|b)+c", 2),
            (r"\x{41}{3}", 3),
            (r"\.{3}", 3),
            (r"\pL{9}", 9),
            ("", 0),
        ],
        *[
            ("x[a-z]{1,200}y?", 201),
            ("[[:alpha:]]{7}", 7),
            (r"[\]a]{2}", 2),
            ("((", 0),
            ("))*", 1),
            ("[", 0),
            ("a{2}{3}", 2),
        ],
    ],
)
def test_what_a_pattern_repeats_is_counted(pattern: str, count: int) -> None:
    assert repeated(pattern) == count


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("(" * 50 + "a" + ")" * 50, 200),
        ("(" * 51 + "a" + ")" * 51, 400),
        ("-(" * 25 + "a OR b" + ")" * 25, 200),
        ("(a OR (b " * 24 + "c" + "))" * 24, 200),
        ("f:(" + "(" * 49 + "a OR b" + ")" * 50, 200),
        ("NOT " * 60 + "a", 400),
        (" OR ".join(f"*a{n}*b*" for n in range(MAX_REPEATED // 3)), 200),
        (" OR ".join(f"*a{n}*b*" for n in range(MAX_REPEATED // 3 + 1)), 400),
        (" ".join(f'f{n}=~"(a+)+$"' for n in range(100)), 200),
        (" ".join(f"f{n}:x" for n in range(200)), 200),
        (" OR ".join(f"*:a{n}" for n in range(200)), 200),
        (" ".join(f"`{'.a' * 240}{n}`:5" for n in range(39)), 200),
        (" ".join(f"`{'.a' * 240}{n}`:>5" for n in range(39)), 422),
        (" ".join(f"a.b{n}:>5" for n in range(100)), 200),
        ("a " * 501, 400),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_deep_or_long_text_is_answered_soon(asked: RunningServer, text: str, status: int) -> None:
    with soon(asked, text):
        answer = asked.client.post(f"{V1}/search", json={"q": text, "limit": 1})
    assert answer.status_code == status, answer.text[:300]
    assert "max_query_size" not in answer.text


@pytest.mark.parametrize("pipe", ["stats sum(n) as n", "eval n = n + n", "where n > 0", "limit 5", "top 5 n", "sort n"])
def test_pipes_nest_up_to_a_limit(asked: RunningServer, pipe: str) -> None:
    for pipes, status in ((MAX_PIPES, 200), (MAX_PIPES + 1, 400)):
        query = "| stats count() as n" + f" | {pipe}" * (pipes - 1)
        with soon(asked, query):
            assert asked.client.post(f"{V1}/stats", json={"q": query}).status_code == status


def test_looking_for_near_names_ends(asked: RunningServer) -> None:
    """Hundreds of unknown names beside a thousand known ones: the hint is given up, and others are served meanwhile."""
    run = uuid.uuid4().hex
    records = [{"run": run, f"{run}{number:04}": 1} for number in range(1_000)]
    asked.client.post(f"{V1}/logs", params={"wait": "searchable"}, json=records).raise_for_status()
    for name in (f"{run}x", "xy" * 100):
        query = " ".join(f"`{name}{number}`:1" for number in range(80))
        with soon(asked, query):
            assert asked.client.post(f"{V1}/search", json={"q": query}).json()["rows"] == []


@settings(max_examples=30)
@given(st.text("""ab1 \n"'\\`()[]{}<>|*:=~-.,+/%é@_^$?\u2028""", min_size=1, max_size=6), st.text('a"(|', max_size=2))
@example("[[:", "")
@example("| ", "a")
@example("* ", "")
def test_a_text_of_equal_pieces_is_read_soon(piece: str, begin: str) -> None:
    """Nothing in reading, completing or weighing takes the square of the length."""
    text = (begin + piece * 20_000)[:20_000]
    started = time.process_time()
    with suppress(BadQuery):
        parser.parse(text)
    suggest.complete(text, 10_000)
    repeated(text)
    assert time.process_time() - started < CPU_SECONDS


# -- limits of names and times -----------------------------------------------------------------------------------------


def test_a_name_that_is_too_long_is_refused_everywhere(asked: RunningServer) -> None:
    for name, is_good in (("a." * (MAX_NAME_LENGTH // 2), True), ("a." * (MAX_NAME_LENGTH // 2) + "a", False)):
        answers = [
            asked.client.get(f"{V1}/fields/{name}/values"),
            asked.client.get(f"{V1}/histogram", params={"by": name}),
            asked.client.get(f"{V1}/search", params={"q": f"`{name}`:x"}),
            asked.client.post(f"{V1}/stats", json={"q": f"| stats count() by `{name}`"}),
        ]
        assert [answer.status_code for answer in answers] == [200 if is_good else 400] * 4, name[-3:]
    refused = asked.client.post(f"{V1}/fields/{'a.' * MAX_NAME_LENGTH}/promotion")
    assert refused.status_code == 400
    assert "at most 500 characters" in refused.json()["error"]["message"]


def test_a_field_with_a_hostile_name_is_promoted_with_the_same_answers(asked: RunningServer) -> None:
    names = ["'", "\\", "`", "{p0:String}", "\t", "\0", "a'.b\\", "') MATERIALIZED 1 --"]
    run = uuid.uuid4().hex
    records = [{"run": run, f"{run}{name}": name} for name in names]
    asked.client.post(f"{V1}/logs", params={"wait": "searchable"}, json=records).raise_for_status()
    for name in names:
        query = {"q": f"run:{run} {in_backticks(run + name)}:{quoted(name)}"}
        path = f"{V1}/fields/{quote(run + name, safe='')}/promotion"
        before = asked.client.post(f"{V1}/search", json=query).json()["rows"]
        assert asked.client.post(path).status_code == 200, name
        after = asked.client.post(f"{V1}/search", json=query).json()["rows"]
        assert asked.client.delete(path).status_code == 200, name
        assert len(before) == 1
        assert after == before, name


@pytest.mark.parametrize(
    "time", ["now-" + "9" * 400 + "d", "9" * 400 + "w", "now+1" + "0" * 308 + "s", "1" * 400 + ".5"]
)
def test_a_time_beyond_all_numbers_is_refused(asked: RunningServer, time: str) -> None:
    for end in ("from", "to"):
        answer = asked.client.get(f"{V1}/search", params={end: time})
        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == "bad_query"
