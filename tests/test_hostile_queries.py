"""Hostile text in every name, value, pattern, path and parameter: a clear answer, soon, and never a record too many."""

import json
import re
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from logriver.errors import BadQuery
from logriver.query import parser, suggest
from tests.conftest import RunningServer

CPU_SECONDS = 5
HERE = "\ue000"
"""Where the hostile text goes in a call."""
Json = dict[str, Any]

TEXTS = [
    *("'", "''", '"', "\\", "\\'", '\\"', "\\\\", "\\N", "`", "``", "'\"`\\"),
    *("' OR 1=1 --", "'; DROP TABLE logs; --", "') OR ('1'='1", "\\') OR 1=1 --", "' UNION ALL SELECT * FROM logs --"),
    *("{p0:String}", "{p1:UInt64}", "{mark:UInt64}", "{", "}", "{}", "${HOME}", "{{7*7}}", "%(x)s", "%s%n", "$1", "\\1"),
    *("/* x */", "/*", "-- x", "# x", "<script>alert(1)</script>", "../../etc/passwd", "%00", "%27", "&q=*", "#"),
    *("\0", "a\0b", "\n", "\r\n", "\t", "\b\f\v", "\x1a", "\x7f", " ", "\u00a0", "\u2028", "\ufeff", "\u202e", "\ufffd"),
    *("é", "e\u0301", "İ", "ß", "日本語", "💥", "\U0010ffff", "\ufffe", "\udbff\udc00".encode("utf-16", "surrogatepass").decode("utf-16")),
    *("%", "_", "%_%", "*", "**", "?", ".", "..", "^", "$", "|", "(", ")", "[", "]", "[^", "(?i)", "(?P<x>", "\\Q", "\\"),
    *("null", "NULL", "nan", "inf", "-0", "1e309", "0x10", "true", "[]", '{"a":1}', '["a"]', "a.b.c", "9" * 400, "-1", "0"),
    *("| stats count()", "| limit 0", "a | b", "AND", "NOT", "OR OR", "TO", "now-9s", "1" * 30 + "d", "2023-02-31", "NaN-NaN"),
]
LONG = [
    *(sign * 20_000 for sign in ("a", "'", "\\", '"', "(", "[", "*", "-", ".", "{", "|", "9", "%", "\0", "`")),
    *("a.b." * 4_000, "NOT " * 4_000, "a OR " * 4_000, "a:(" * 5_000, "a:b " * 4_000, "(" * 5_000 + ")" * 5_000, "é" * 9_000),
]
"""Texts of the longest sort that an address takes."""
PATTERNS = [
    *("(a+)+$", "(a|aa)+$", "(.*)*x", "(a*)*b", "^(([a-z])+.)+[A-Z]([a-z])+$", "(?:a?){50}a{50}", ".*" * 100 + "x"),
    *("((a{1,1000}){1,1000}){1,1000}", "(a{1000}){1000}", "a{100000}", "[a-z]{1,1000}" * 20, "(?i)" + "(x+x+)+y" * 20),
    *("(" * 2_000 + "a" + ")" * 2_000, "(?:" * 900 + "a" + ")*" * 900, "\\\\pL{999}", "[[:^alpha:]]{500}", "(?s).{1000}" * 9),
    *("a" * 19_000, "|".join(f"a{n}" for n in range(3_000)), "(?=a)", "\\\\1", "(?<x", "[z-a]", "a**", "(?R)", "\\\\C", "\\\\x{110000}"),
]


@dataclass(frozen=True)
class Call:
    """A call with `HERE` somewhere in it."""

    method: str
    path: str
    params: dict[str, str] = field(default_factory=dict)
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)

    def send(self, client: httpx.Client, text: str) -> int:
        """Its status with `text` there; of an answer without an end only the beginning is read."""
        path = self.path.replace(HERE, quote(text, safe=""))
        params = {name: value.replace(HERE, text) for name, value in self.params.items()}
        body = None if self.body is None else json.dumps(self.body).replace(json.dumps(HERE)[1:-1], json.dumps(text)[1:-1])
        headers = {name: value.replace(HERE, text) for name, value in self.headers.items()}
        with client.stream(self.method, path, params=params, content=body, headers=headers) as answer:
            if "event-stream" not in answer.headers.get("content-type", ""):
                answer.read()
            return answer.status_code


def get(path: str, **params: str) -> Call:
    # `from` is a keyword of Python.
    return Call("GET", path, {name.rstrip("_"): value for name, value in params.items()})


def post(path: str, body: Any) -> Call:
    return Call("POST", path, body=body)


RULE = {"field": "message", "value": "x"}
FILTER = {"key": "message", "value": "x", "operation": "equals", "size": 10}
SEARCH, VALUES = "/api/v1/search", "/api/v1/fields/service/values"
CALLS = [
    *(get(SEARCH, **{name: HERE}) for name in ("q", "query", "from_", "to", "start", "end", "limit", "order", "cursor")),
    *(post(SEARCH, {name: HERE}) for name in ("q", "from", "limit", "order", "cursor", HERE)),
    *(Call("GET", SEARCH, {"q": HERE, "limit": "5"}, headers={"Accept": kind}) for kind in ("application/x-ndjson", "text/csv")),
    *(get("/api/v1/histogram", **{name: HERE}) for name in ("q", "from_", "to", "buckets", "by", "tz")),
    *(get("/api/v1/fields", **{name: HERE}) for name in ("q", "from_", "to")),
    *(get(VALUES, **{name: HERE}) for name in ("q", "from_", "to", "limit")),
    get(f"/api/v1/fields/{HERE}/values"),
    *(get("/api/v1/stats", **{"q": "| stats count() by level", name: HERE}) for name in ("q", "from_", "to", "tz")),
    post("/api/v1/stats", {"q": f"| stats count() by `{HERE}`, bin(5m)"}),
    *(get("/api/v1/context", **{"id": "x-1", name: HERE}) for name in ("id", "before", "after")),
    *(get("/api/v1/patterns", **{name: HERE}) for name in ("q", "from_", "to", "limit")),
    *(get("/api/v1/tail", **{name: HERE}) for name in ("q", "after")),
    *(get("/api/v1/explain", **{name: HERE}) for name in ("q", "from_", "to")),
    *(get("/api/v1/suggest", **{"q": "level:e", name: HERE}) for name in ("q", "at")),
    *(post("/api/v1/sql", {"query": query}) for query in (HERE, f"SELECT count() FROM logs WHERE message = '{HERE}'")),
    *(post("/api/v1/sql", {"query": f"SELECT {quoted} FROM logs LIMIT 1"}) for quoted in (f"`{HERE}`", f'"{HERE}"')),
    *(post("/fetch_logs", {"rules": [RULE | {name: HERE}]}) for name in ("field", "value")),
    *(post("/fetch_logs", {"rules": [{"field": name, "value": HERE}]}) for name in ("level", "timestamp", "commit", "spanId")),
    post("/fetch_logs", {"rules": [], "page": HERE}),
    *(post("/logs/filter/", FILTER | {name: HERE}) for name in ("key", "value", "operation", "size")),
    *(post("/logs/filter/", {"filters": [FILTER | {"key": name, "operation": "contains", "value": HERE}]}) for name in ("level", "commit")),
    post("/logs/filter/", [{"key": "timestamp", "operation": "range", "value": {"lower_range": HERE, "upper_range": HERE}}]),
    get(f"/customers/{HERE}/stats", from_date="2024-01-01", daily="true"),
    *(get("/customers/x/stats", **{"from_date": "2024-01-01", name: HERE}) for name in ("from_date", "daily")),
    get("/customers/customer/stats/all", from_date=HERE),
    *(get("/api/v1/dead-letters", **{name: HERE}) for name in ("limit", "cursor")),
    Call("POST", f"/api/v1/dead-letters/{HERE}/replay", body={"message": "x"}),
    *(Call("POST", path, params={"wait": HERE}, body={}) for path in ("/api/v1/logs",)),
    get(f"/{HERE}"),
    get(f"/ui/{HERE}"),
    get("/login", next=HERE),
]
