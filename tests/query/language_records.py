"""The records that `test_language_http.py` asks for: seeded, of many shapes, with several types in one field."""

import json
import os
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

from logriver import clock
from logriver.generate import api_requests

Sent = dict[str, Any]

START = clock.from_text("2023-09-08T00:00:00Z") // clock.SECOND_NS
SPREAD_SECONDS = 10 * 86_400

LEVELS = ("error", "ERR", "Error", "warn", "WARNING", "info", "INFO", "notice", "debug", "trace", "crit", "fatal")
ODD_LEVELS = ("Custom", 30, 50, "7", "")
MESSAGES = (
    "Failed to connect to DB",
    "connect failed: user_id={n} => gone",
    "Reconnected to database after {n} attempts",
    "error: no space left on device sd{n}",
    "GET /api/v1/x?page={n} HTTP/1.1 500",
    "dial tcp 10.0.0.1:5432: connection refused",
    "fetch http://h/p/{n} timed out",
    "listening on localhost:8080",
    "a -> b [x] {{json}}",
    "std::vector<int>::at({n}) threw",
    "Exception in main(String[] args)",
    "café au lait n° {n}",
    "日本語のログ {n} を書いた",
    "ÄRGER mit dem Server",
    "100% of C:\\temp\\new and a\ttab\nsecond line",
    'said "hi" and left',
    "timeout_seconds={n} (red OR blue) and not green",
    "*** panic *** at -1 | limit {n}",
    "",
)
VALUES = (200, "200", 200.0, 404, 500, "500", 5e2, 503, True, False, None, "ok", "", [500], {"code": 500}, -1, 0.5)
NUMBERS = (
    1,
    2.5,
    "3",
    "4.0",
    10,
    100,
    1000,
    -7,
    "slow",
    "+5",
    " 5",
    "0x10",
    "nan",
    "1e2",
    True,
    None,
    9007199254740993,
)
TEXTS = (
    "abc",
    "Abc",
    "abcd",
    "a b",
    "x:y",
    "(x)",
    "100%",
    "a_b",
    "a*b",
    'q"q',
    "\\d",
    "é",
    "TO",
    "AND",
    "*",
    "[1]",
    "-5",
)
DOTTED = (
    {"a.b": "literal"},
    {"a": {"b": "path"}},
    {"a.b": "literal", "a": {"b": "path"}},
    {"a": {"b": {"c": "deep"}}},
    {"a": {"b.c": "half"}},
    {"a": ["b"]},
    {"a.b": None, "a": {"b": "hidden"}},
)
NESTED: tuple[Sent, ...] = (
    {},
    {"kubernetes": {"labels": {"app.kubernetes.io/name": "auth", "app": "x"}}},
    {"resource": {"service.name": "foo"}},
    {"resource": {"service": {"name": "foo"}}},
    {"resource.service": {"name": "bar"}},
)
ODD_NAMES = ("odd name", "größe", "back`tick", "semi;colon", "a-b", "x/y", "名前", "count()", "by")
SPELLINGS = (
    {"msg": "aliased message", "severity": "warning", "@timestamp": "2023-09-12T10:00:00Z"},
    {"message": "first wins", "msg": "second stays", "level": "info", "lvl": "debug"},
    {"body": "from the body", "trace.id": "t-alias-1", "span.id": "s-alias-1", "service.name": "billing"},
    {"text": "nested names", "trace": {"id": "t-alias-2"}, "service": {"name": "billing"}, "host": {"name": "h9"}},
    {"message": {"no": "text"}, "level": ["no", "text"], "traceId": 77, "hostname": "h8"},
)


def contract_record(draw: Random, n: int) -> Sent:
    """The record that most users send."""
    return {
        "level": draw.choice(LEVELS),
        "message": draw.choice(MESSAGES).format(n=n % 40),
        "resourceId": f"server-{draw.randrange(1200, 1240)}",
        "traceId": f"abc-xyz-{draw.randrange(60)}",
        "spanId": f"span-{draw.randrange(100)}",
        "commit": f"{draw.randrange(40):07x}",
        "metadata": {"parentResourceId": f"server-{draw.randrange(980, 990):04}"},
    }


def mixed_record(draw: Random, n: int) -> Sent:
    """One with fields of any type, dotted, nested, in lists and under odd names."""
    record: Sent = {
        "level": draw.choice((*LEVELS, *ODD_LEVELS)),
        "message": draw.choice(MESSAGES).format(n=n % 40),
        "service": draw.choice(("api", "web", "db", "")),
        "status": draw.choice(VALUES),
        "latency": draw.choice(NUMBERS),
        "text_value": draw.choice(TEXTS),
        "tags": draw.sample(("red", "green", "blue"), draw.randrange(4)),
        "user": {"id": draw.randrange(20), "name": draw.choice(("Zoë", "bob", "al ice")), "roles": [{"r": "admin"}]},
        draw.choice(ODD_NAMES): draw.choice(("x", "y", 5)),
    }
    for name in ("status", "latency", "tags"):
        if not draw.randrange(4):
            del record[name]
    return record | draw.choice(DOTTED) | NESTED[n % len(NESTED)]


def shaped_record(draw: Random, n: int) -> Sent:
    """One whose columns come under other names."""
    return dict(draw.choice(SPELLINGS))


def sent_records() -> list[Sent]:
    """What is sent over HTTP: each with its number `n`, and a time of its own unless it brings one."""
    draw = Random(4)
    makers = [contract_record] * 500 + [mixed_record] * 800 + [shaped_record] * 100
    records = [maker(draw, n) for n, maker in enumerate(makers)]
    records += [{"service": "loghub", "message": line} for line in real_lines()]
    for n, record in enumerate(records):
        record["n"] = n
        if "@timestamp" not in record:
            second = START + draw.randrange(SPREAD_SECONDS)
            record["timestamp"] = clock.to_text(second * clock.SECOND_NS + draw.choice((0, 500_000_000, 1)))
    return records


def real_lines() -> list[str]:
    """Lines of the logs in the folder that `LOGHUB` names, from every file some; none without it."""
    folder = os.environ.get("LOGHUB")
    files = sorted(Path(folder).glob("*.log")) if folder else []
    return [line for file in files for line in file.read_text(errors="replace").splitlines()[:400:5] if line]


def request_lines() -> list[str]:
    """The lines of a followed file of the format `api_requests`."""
    made = api_requests.lines(Random(4), START * clock.SECOND_NS, 60 * clock.SECOND_NS)
    return [line.decode().rstrip("\n") for line in islice(made, 400)]


def request_record(line: str) -> Sent:
    """The record that such a line is, as a user would write it."""
    day, time, customer, path, status, seconds = line.split()
    fields: Sent = {"customer": customer, "path": path, "status": int(status), "latency_seconds": json.loads(seconds)}
    return {"timestamp": f"{day}T{time}Z", "message": line} | fields
