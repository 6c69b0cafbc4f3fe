"""Texts that have broken out of queries, hung or crashed servers, and every call with a place for them."""

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx

HERE = "\ue000"
"""Where the hostile text stands in a call."""
Json = dict[str, Any]

WORDS = r"""
    ' '' " \ \' \" \\ \N ` `` '"`\ {p0:String} {mark:UInt64} { } {} ${HOME} {{7*7}} %(x)s %s%n $1 \1 /*x*/ /* -- # %00
    %27 &q=* ../../etc/passwd <script>alert(1)</script> % _ %_% * ** ? . .. ^ $ | ( ) [ ] [^ (?i) (?P<x> \Q null NULL
    nan inf -0 1e309 0x10 true [] {"a":1} ["a"] a.b.c -1 0 5 AND NOT OR TO now-9s 2023-02-31 é é İ ß 日本語 💥
"""
SENTENCES = """
' OR 1=1 --
'; DROP TABLE logs; --
') OR ('1'='1
\\') OR 1=1 --
' UNION ALL SELECT message FROM logs --
a | b
| limit 0
x | stats count()
a" OR "b
`a` OR `b`
# x
/* x */
"""
CONTROLS = [*"\0\n\r\t\b\f\v\x1a\x7f \u00a0\u2028\ufeff\u202e\ufffd\ufffe\U0010ffff", "a\0b", "\r\n", "\\\n"]
TEXTS = [*WORDS.split(), *SENTENCES.strip().splitlines(), *CONTROLS]
LONG = [sign * 20_000 for sign in "a'\\\"([*-.{|9%\0`"]
LONG += ["a.b." * 4_000, "NOT " * 4_000, "a OR " * 4_000, "a:(" * 5_000, "*a" * 9_000, "a:b " * 4_000, "é" * 9_000]
LONG += ["(" * 5_000 + ")" * 5_000, "now-" + "9" * 400 + "d", "1d" * 5_000, "9" * 400 + ".5"]
KNOWN_BAD = r"""
    (a+)+$ (a|aa)+$ (.*)*x (a*)*b ^(([a-z])+.)+[A-Z]([a-z])+$ (?:a?){50}a{50} a.{200}c (?i)(x+x+)+y (?=a) \1 (?<x [z-a]
    ((a{1,1000}){1,1000}){1,1000} (a{1000}){1000} a{100000} \pL{499} [[:^alpha:]]{499} (?s).{499} a** (?R) \C \x{110000}
"""
PATTERNS = [
    *KNOWN_BAD.split(),
    "[a-z]{1,1000}" * 20,
    ".*" * 100 + "x",
    ".*" * 400 + "x",
    "[ab]?" * 3_000,
    "a.*b" * 1_000,
    "a" * 19_000,
]
PATTERNS += ["(" * 2_000 + "a" + ")" * 2_000, "(?:" * 900 + "a" + ")*" * 900, "|".join(f"a{n}" for n in range(3_000))]


@dataclass(frozen=True)
class Call:
    """A call with `HERE` somewhere in it."""

    method: str
    path: str
    params: dict[str, str] = field(default_factory=dict)
    body: Any = None
    accept: str = "*/*"

    def send(self, client: httpx.Client, text: str) -> int:
        """Its status with `text` there; of an answer without an end only the beginning is read."""
        path = self.path.replace(HERE, quote(text, safe=""))
        params = {name: value.replace(HERE, text) for name, value in self.params.items()}
        body = None
        if self.body is not None:
            body = json.dumps(self.body, ensure_ascii=False).replace(HERE, json.dumps(text)[1:-1])
        headers = {"Accept": self.accept}
        try:
            request = client.build_request(self.method, path, params=params, content=body, headers=headers)
        except httpx.InvalidURL:
            # The client sends no address of this length, and the server would take none.
            return 414
        answer = client.send(request, stream=True)
        try:
            if "event-stream" not in answer.headers.get("content-type", ""):
                answer.read()
        finally:
            answer.close()
        return answer.status_code


def get(path: str, names: str, **params: str) -> list[Call]:
    """A call for each of its parameters `names` with hostile text, beside the good `params`."""
    return [Call("GET", path, params | {name: HERE}) for name in names.split()]


def post(path: str, *bodies: Any) -> list[Call]:
    return [Call("POST", path, body=body) for body in bodies]


V1 = "/api/v1"
FILTER = {"key": "message", "value": "x", "operation": "equals", "size": 10}
RANGE = {"lower_range": HERE, "upper_range": HERE}
ACCEPTS = ("application/x-ndjson", "text/csv", "application/vnd.apache.arrow.stream", "application/vnd.apache.parquet")
CALLS = [
    *get(f"{V1}/search", "q query from to start end limit order cursor"),
    *post(f"{V1}/search", *({name: HERE} for name in ("q", "from", "limit", "order", "cursor", HERE))),
    *(Call("GET", f"{V1}/search", {"q": HERE, "limit": "5"}, accept=accept) for accept in ACCEPTS),
    *get(f"{V1}/histogram", "q from to buckets by tz"),
    *get(f"{V1}/fields", "q from to"),
    *get(f"{V1}/fields/service/values", "q from to limit"),
    Call("GET", f"{V1}/fields/{HERE}/values"),
    *get(f"{V1}/stats", "q from to tz", q="| stats count() by level"),
    *post(
        f"{V1}/stats",
        *({"q": f"| {pipe}"} for pipe in (f"top 3 `{HERE}`", f'stats count() if (a:"{HERE}") as `{HERE}`')),
    ),
    *get(f"{V1}/context", "id before after", id="x-1"),
    *get(f"{V1}/patterns", "q from to limit"),
    *get(f"{V1}/tail", "q after"),
    *get(f"{V1}/explain", "q from to"),
    *get(f"{V1}/suggest", "q at", q="level:e"),
    *post(f"{V1}/sql", {"query": HERE}, {"query": f"SELECT message FROM logs WHERE message = '{HERE}' LIMIT 1"}),
    *post(f"{V1}/sql", *({"query": f"SELECT {quoted} FROM logs LIMIT 1"} for quoted in (f"`{HERE}`", f'"{HERE}"'))),
    *post("/fetch_logs", *({"rules": [{"field": name, "value": HERE}]} for name in ("message", "level", "timestamp"))),
    *post("/fetch_logs", {"rules": [{"field": HERE, "value": "x"}]}, {"rules": [], "page": HERE}, {HERE: 1}),
    *post("/logs/filter/", *(FILTER | {name: HERE} for name in FILTER)),
    *post("/logs/filter/", {"filters": [FILTER | {"key": "commit", "operation": "contains", "value": HERE}]}),
    *post("/logs/filter/", [{"key": "timestamp", "operation": "range", "value": RANGE}]),
    Call("GET", f"/customers/{HERE}/stats", {"from_date": "2024-01-01", "daily": "true"}),
    *get("/customers/x/stats", "from_date daily", from_date="2024-01-01"),
    *get("/customers/customer/stats/all", "from_date"),
    *get(f"{V1}/dead-letters", "limit cursor"),
    Call("POST", f"{V1}/dead-letters/{HERE}/replay", body={"message": "x"}),
    Call("POST", f"{V1}/logs", {"wait": HERE}, body={"hostile": "wait"}),
    Call("GET", f"/{HERE}"),
    Call("GET", f"/ui/{HERE}"),
    *get("/login", "next"),
]
FRAMES = [
    *(
        f'"{HERE}"',
        f"f:{HERE}",
        f'f:"{HERE}"',
        f"`{HERE}`:x",
        f'=~"{HERE}"',
        f'f=~"{HERE}"',
        f"*{HERE}*",
        f'*"{HERE}"*',
    ),
    *(
        f"f:>={HERE}",
        f"f:[{HERE} TO *]",
        f'f:["{HERE}" TO *]',
        f"*:{HERE}",
        f'*:"{HERE}"',
        f"-{HERE}",
        f"f:({HERE} OR y)",
    ),
    *(
        f"timestamp:{HERE}",
        f"level:>{HERE}",
        f"_id:{HERE}",
        f"_seq:{HERE}",
        f"_offset:>{HERE}",
        f"_received:[{HERE} TO *]",
    ),
    *(f"| sort {HERE}", f"| sort `{HERE}` desc", f"| limit {HERE}", f"| fields `{HERE}`, {HERE}", f"level:*{HERE}"),
]
PIPES = [
    *(f"| stats count() as `{HERE}`", f"| stats sum(`{HERE}`), p99({HERE}) by level", f"| top {HERE} level"),
    *(
        f"| stats count() as n by `{HERE}` | sort n",
        f"| stats count() as n, bin({HERE})",
        f"| stats count() by bin({HERE})",
    ),
    *(f'| stats count() if (f:"{HERE}") as n | where n != "{HERE}"', f"| stats count() as n | eval x = n + {HERE}"),
    *(f"| stats count() as n | where n > {HERE}", f"| stats count() as n | eval `{HERE}` = n", f"| stats {HERE}(x)"),
]
ASKED = [Call("GET", f"{V1}/search", {"q": frame, "limit": "5"}) for frame in FRAMES]
ASKED += [Call("POST", f"{V1}/stats", body={"q": pipe}) for pipe in PIPES]
