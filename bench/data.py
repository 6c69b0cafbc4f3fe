"""The logs that every benchmark uses: seeded, distinct, about 370 B, in the shape that most users send.

Shape: `level, message, resourceId, timestamp, traceId, spanId, commit, metadata` with five keys in `metadata`. Ids are
random, messages come from templates filled with numbers, as programs write them.
"""

import itertools
import mmap
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SEED = 7
_START_MS = 1_694_764_800_000
_LINES_PER_WRITE = 10_000

_LEVELS = ("info", "info", "info", "warn", "error", "debug")
_REGIONS = ("eu-central-1", "us-east-1", "ap-south-1", "sa-east-1")
_STATUSES = (200, 200, 200, 201, 404, 500)
_MESSAGES = (
    "Failed to connect to DB orders-{a} at 10.{b}.{c}.7:5432: refused after {n} ms",
    "GET /api/v1/resource{b}/{n} from user {c} took {a} ms, cache miss",
    "retry {a} of 31 for upstream payments-{b}: timeout after {n} ms",
    "session token of user {n} expired in tenant {b}, gateway {c}",
    "queue depth of group {a} is {n}, partition {b} lags behind {c}",
    "disk /var/lib/data{a} is {b} percent full, {n} files removed",
    "accepted connection {n} from 192.168.{b}.{c}, {a} streams open",
    "invalid payload in message {n} of topic invoices-{b}: amount missing",
    "worker {a} stopped after {n} jobs, memory {b} MB above its limit",
    "user {n} changed the plan of account {c} from basic to business",
    "index segment {n} merged with {a} others, deleted documents: {c}",
    "certificate of edge-{a}.region-{b}.example.com expires in {c} days",
)


def write_logs(path: Path, count: int) -> None:
    """Write `count` records as NDJSON. The same count gives the same bytes."""
    lines = _lines(count)
    with path.open("wb") as file:
        while chunk := list(itertools.islice(lines, _LINES_PER_WRITE)):
            file.write("".join(chunk).encode())


def _lines(count: int) -> Iterator[str]:
    draw = random.Random(SEED).getrandbits
    time_ms, last_second, second_text = _START_MS, -1, ""
    for _ in range(count):
        # One draw for a whole record: its first hex digits are the ids, its low bits the choices.
        bits = draw(384)
        ids = f"{bits:096x}"
        time_ms += bits % 6
        second, ms = divmod(time_ms, 1000)
        if second != last_second:
            last_second, second_text = second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        template = _MESSAGES[(bits >> 8 & 0xFFFF) % len(_MESSAGES)]
        message = template.format(
            a=bits >> 24 & 31, b=bits >> 32 & 127, c=bits >> 40 & 255, n=(bits >> 48 & 0xFFFF_FFFF) % 100_000
        )
        yield (
            f'{{"level":"{_LEVELS[(bits >> 80 & 0xFF) % 6]}","message":"{message}",'
            f'"resourceId":"server-{(bits >> 88 & 0xFFFF) % 2000:04}","timestamp":"{second_text}.{ms:03}Z",'
            f'"traceId":"{ids[:32]}","spanId":"{ids[32:48]}","commit":"{ids[48:55]}",'
            f'"metadata":{{"parentResourceId":"server-{(bits >> 104 & 0xFFFF) % 1000:04}",'
            f'"region":"{_REGIONS[bits >> 120 & 3]}","latency_ms":{(bits >> 122 & 0xFFFF) % 5000},'
            f'"status":{_STATUSES[(bits >> 138 & 0xFF) % 6]},"customer":"cust_{(bits >> 146 & 0xFF) % 50}"}}}}\n'
        )


def first_lines(path: Path, count: int) -> list[bytes]:
    """The first `count` lines of a file without their line ends."""
    with path.open("rb") as file:
        return [line.rstrip(b"\n") for line in itertools.islice(file, count)]


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a file: whole lines, `count` of them."""

    offset: int
    length: int
    count: int


def cut(path: Path, most_bytes: int) -> list[Piece]:
    """A file in pieces of whole lines, none longer than `most_bytes`."""
    pieces = []
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        start = 0
        while start < len(content):
            end = content.rfind(b"\n", start, start + most_bytes) + 1
            pieces.append(Piece(start, end - start, content[start:end].count(b"\n")))
            start = end
    return pieces
