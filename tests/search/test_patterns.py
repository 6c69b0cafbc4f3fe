"""Patterns: what is a template, and through a running server: counts, times, examples and the search text of each."""

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from logriver.query.language.tree import Text
from logriver.query.sql import templates
from tests.conftest import RunningServer

Patterns = Callable[..., dict[str, Any]]
Send = Callable[[list[dict[str, Any]]], str]


@pytest.fixture(scope="module")
def send(server: RunningServer) -> Send:
    def sent(records: list[dict[str, Any]]) -> str:
        run = uuid.uuid4().hex
        body = json.dumps([record | {"run": run} for record in records])
        answer = server.client.post("/api/v1/logs", params={"wait": "searchable"}, content=body)
        assert answer.json()["accepted"] == len(records)
        return f"run:{run}"

    return sent


@pytest.fixture(scope="module")
def patterns(server: RunningServer) -> Patterns:
    def asked(q: str, **params: Any) -> dict[str, Any]:
        answer = server.client.get("/api/v1/patterns", params={"q": q, **params})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    return asked


def found_by(server: RunningServer, q: str) -> list[str]:
    return sorted(str(row["message"]) for row in server.search(q=q, limit=10_000))


# -- templates ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "template"),
    [
        ("retry 3 of 31 after 1.5 ms", "retry <num> of <num> after <num> ms"),
        ("from 10.0.0.1:5432 refused", "from <ip>:<num> refused"),
        ("job 123e4567-e89b-12d3-a456-426614174000 done", "job <uuid> done"),
        ("commit 5e5342fa1 at 0xdeadBEEF", "commit <hex> at <hex>"),
        ('user "Ann Smith" left', "user <str> left"),
        ("2023-09-15T08:00:00.123Z up", "<time> up"),
        ("2023-09-15 08:00:00,5 up since 2023-09-14T08:00:00+02:00", "<time> up since <time>"),
        ("Jun  9 06:06:20 combo su[7]: at Wed Jul 27 10:59:53 2005", "<time> combo su[<num>]: at <time>"),
        ("[Sun Dec 04 04:47:44.012 2005] [error] down", "[<time>] [error] down"),
        ('1.2.3.4 - - [02/Jan/2024:03:04:05 +0000] "GET /" 200', "<ip> - - [<time>] <str> <num>"),
        ("Sun May 4 of March 2024, Dec 10 1234 lines", "Sun May <num> of March <num>, Dec <num> <num> lines"),
        ("GET /api/v1/resource7/items/12345678", "GET /api/v<num>/resource<num>/items/<num>"),
        ("version 1.22.333 of 4,000", "version <num> of <num>"),
        ("decade of facade added", "decade of facade added"),
        ("first line 1\n  at second line", "first line <num>"),
        ("größe 5 日本", "größe <num> 日本"),
    ],
)
def test_what_differs_is_a_placeholder(send: Send, patterns: Patterns, message: str, template: str) -> None:
    (found,) = patterns(send([{"message": message}]))["patterns"]
    assert (found["pattern"], found["example"]) == (template, message.split("\n", maxsplit=1)[0])


def test_a_word_with_many_variants_is_a_placeholder_too() -> None:
    names = [f"user {name} logged in" for name in "abcdefghijkl"]
    others = ["user a logged out", "service started", *[f"code {n}" for n in "abcdefghijkl"]]
    merged = templates.merged(names + others)
    assert {merged[name] for name in names} == {"user <*> logged in"}
    assert [merged[other] for other in others] == others


def test_two_words_with_many_variants_are_two_placeholders() -> None:
    made = [f"move {x} to {y} now" for x in "abcdefghijkl" for y in "mnopqrstuvw"]
    assert set(templates.merged(made).values()) == {"move <*> to <*> now"}


def test_few_variants_stay_apart() -> None:
    made = ["disk is full now", "disk is fine now", "disk is gone now"]
    assert templates.merged(made) == {text: text for text in made}


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("retry <num> of <num> for upstream payments", ["for upstream payments", "retry", "of"]),
        ("resource<num>/items", ["/items"]),
        ("v<num>", []),
        ("<num> <*>", []),
        ("order_<num> was sent", ["was sent", "order_"]),
    ],
)
def test_the_words_of_a_template_are_whole(template: str, words: list[str]) -> None:
    assert templates.words_of(template) == [Text(word) for word in words]


# -- the call ----------------------------------------------------------------------------------------------------------


def test_patterns_are_counted_with_first_and_last_and_a_text_that_finds_them(
    server: RunningServer, send: Send, patterns: Patterns
) -> None:
    retries = [
        {"timestamp": 1_694_764_800 + n, "level": "warn", "message": f"retry {n} of 31: timeout after {n * 7} ms"}
        for n in range(30)
    ]
    logins = [{"message": f"user {chr(97 + n)}nn logged in from 10.0.0.{n}", "level": "info"} for n in range(12)]
    odd = [{"message": 'single "odd" \\ one', "level": "info"}, {"level": "info", "no": "message"}]
    run = send(retries + logins + odd)

    found = patterns(run)

    assert (found["records"], found["sampled"]) == (44, False)
    by_pattern = {item["pattern"]: item for item in found["patterns"]}
    assert list(by_pattern) == [
        "retry <num> of <num>: timeout after <num> ms",
        "user <*> logged in from <ip>",
        "single <str> \\ one",
    ]
    first = by_pattern["retry <num> of <num>: timeout after <num> ms"]
    assert (first["count"], first["first_seen"], first["last_seen"]) == (
        *(30, "2023-09-15T08:00:00Z", "2023-09-15T08:00:29Z"),
    )
    assert first["example"] in [record["message"] for record in retries]
    assert found_by(server, first["query"]) == sorted(str(record["message"]) for record in retries)
    second = by_pattern["user <*> logged in from <ip>"]
    assert found_by(server, second["query"]) == sorted(str(record["message"]) for record in logins)
    assert found_by(server, by_pattern["single <str> \\ one"]["query"]) == [odd[0]["message"]]


def test_the_words_of_the_question_stay_in_the_text_of_each(
    server: RunningServer, send: Send, patterns: Patterns
) -> None:
    run = send([{"message": f"alpha {n}", "level": level} for n in range(5) for level in ("error", "info")])
    (found,) = patterns(f"{run} (level:error OR level:fatal)")["patterns"]
    assert found["count"] == 5
    assert len(found_by(server, found["query"])) == 5


def test_the_pipe_means_the_same_and_may_be_limited(send: Send, patterns: Patterns) -> None:
    words = ("one", "two", "three")
    run = send([{"message": f"{word} of them"} for number, word in enumerate(words) for _ in range(number + 1)])
    assert patterns(f"{run} | patterns")["patterns"] == patterns(run)["patterns"]
    assert [item["count"] for item in patterns(f"{run} | patterns | limit 2")["patterns"]] == [3, 2]
    assert [item["count"] for item in patterns(run, limit=1)["patterns"]] == [3]


def test_other_pipes_have_no_place(server: RunningServer) -> None:
    for q in ("* | sort level", "* | stats count()", "* | patterns | where n > 1"):
        assert server.client.get("/api/v1/patterns", params={"q": q}).status_code == 400, q


def test_of_a_long_message_the_beginning_counts(server: RunningServer, send: Send, patterns: Patterns) -> None:
    run = send([{"message": "begin " + "wörd " * 1_000 + str(n)} for n in range(3)])
    (found,) = patterns(run)["patterns"]
    assert found["count"] == 3
    assert len(found["pattern"]) <= templates.MAX_CHARACTERS
    assert len(found_by(server, found["query"])) == 3
