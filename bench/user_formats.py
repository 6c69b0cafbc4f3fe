"""What following does to a line beyond plain text: formats of users, several lines, labels, containers.

Python's `re` stands beside RE2 for the same pattern: RE2's price is for that no pattern can hang a follower.
"""

import re
import time
from collections.abc import Callable
from functools import partial

from bench.figures import Figure, Measurement, Values, Workload
from logriver.decode.decoder import Options, State
from logriver.decode.lines.user_format import UserFormat
from logriver.decode.reference import ReferenceDecoder

_COUNT = 10_000
_ROUNDS = 5
_PATTERN = r"^(?P<timestamp>\S+ \S+) (?P<level>\w+) \[(?P<service>[^\]]+)\] (?P<message>.*)$"
_LINES = [
    f"2026-01-02 03:04:{number % 60:02}.123 INFO [shop-{number % 7}] user {number} bought thing number {number * 7}"
    for number in range(_COUNT)
]
_SOURCES = {
    "text": Options("text"),
    "labels": Options("text", labels=(("env", "prod"), ("service", "shop"))),
    "indent": Options("text", multiline="indent"),
    "start": Options("text", multiline_start=r"^\d{4}-"),
    "user": Options("shop", _PATTERN),
    "cri": Options("cri"),
}

FIGURES = {
    "re": Figure("the pattern alone, Python's re", "us/line", 2),
    "re2": Figure("the pattern alone, RE2", "us/line", 2),
    "text": Figure("decode as text", "us/line", 2),
    "labels": Figure("decode as text, two labels", "us/line", 2),
    "indent": Figure("decode as text, records by indentation", "us/line", 2),
    "start": Figure("decode as text, records by a start pattern", "us/line", 2),
    "user": Figure("decode by a user's format", "us/line", 2),
    "cri": Figure("decode as cri", "us/line", 2),
}


def measure(workload: Workload) -> Values:
    """One run: the least CPU of some rounds, of looking for whole records and decoding them."""
    del workload
    shop, compiled = UserFormat("shop", _PATTERN), re.compile(_PATTERN)
    encoded = [line.encode() for line in _LINES]
    plain, of_container = (b"\n".join(encoded) + b"\n", b"".join(map(_as_cri, encoded)))
    values = {
        "re": _microseconds(lambda: [found.groups() for line in _LINES if (found := compiled.search(line))]),
        "re2": _microseconds(lambda: [shop.pairs(line) for line in encoded]),
    }
    for name, options in _SOURCES.items():
        values[name] = _microseconds(partial(_followed, options, of_container if name == "cri" else plain))
    return values


def _followed(options: Options, chunk: bytes) -> None:
    decoder, state = ReferenceDecoder(), State(0, 0)
    decoder.whole(chunk, options, state)
    decoder.decode(chunk, options, state)


def _as_cri(line: bytes) -> bytes:
    return b"2026-01-02T03:04:05.123456789Z stdout F " + line + b"\n"


def _microseconds(work: Callable[[], object]) -> float:
    """CPU for each line."""
    rounds = []
    for _ in range(_ROUNDS):
        before = time.process_time()
        work()
        rounds.append(time.process_time() - before)
    return min(rounds) / _COUNT * 1e6


MEASUREMENT = Measurement("user_formats", "Beyond plain text: CPU a line of followed files", FIGURES, measure)
