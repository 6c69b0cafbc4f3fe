"""What a server says of followed files, for the commands that show and prove it."""

from collections.abc import Generator, Iterator
from itertools import chain

import httpx
import msgspec

from logriver.cli.client import ask, stream, whole_lines

SPAN_BYTES = 16_000_000
"""So many bytes of a file a server gives the records of at one time."""
_IDLE_SECONDS = 120.0

Record = tuple[int, int, int, int]
"""Of a record of a file: offset, timestamp and time of reception in nanoseconds, hash of all else."""


class Gap(msgspec.Struct):
    """Bytes that are not committed."""

    offset: int
    bytes: int
    exact: bool
    reason: str
    lost: bool


class Incarnation(msgspec.Struct):
    """One incarnation of a file: what begins with `head_hash`, up to `committed_bytes`, with the CRC32C."""

    id: str
    state: str
    file: str
    committed_bytes: int
    committed: list[tuple[int, int]]
    crc32c: str
    head_length: int
    head_hash: str
    gaps: list[Gap]


class SourceAnswer(msgspec.Struct):
    """All that one follower has under one path. What is None only the follower knows, which is not connected."""

    path: str
    follower: str
    connected: bool
    format: str
    file: str
    committed_bytes: int
    size_bytes: int | None
    lag_bytes: int | None
    lag_seconds: float | None
    last_event: str | None
    error: str
    gaps: list[Gap]
    incarnations: list[Incarnation]

    @property
    def lost(self) -> list[Gap]:
        """The gaps that nobody wanted."""
        return [gap for gap in self.gaps if gap.lost]


class _Page(msgspec.Struct):
    sources: list[SourceAnswer]
    cursor: str | None


_decode_record = msgspec.json.Decoder(Record).decode


def all_sources(client: httpx.Client, **given: str) -> Iterator[SourceAnswer]:
    """Every source, of all pages. Raises as `ask` does."""
    params = given
    while True:
        page = ask(client, "/api/v1/sources", _Page, params=params)
        yield from page.sources
        if page.cursor is None:
            return
        params = given | {"cursor": page.cursor}


class SourceRecords:
    """The records of a source in the order of their offsets, up to `end`. Close it."""

    def __init__(self, client: httpx.Client, source: str, end: int) -> None:
        self._client = client
        self._source = source
        self._records = self._from_all_spans(end)
        self._next: Record | None = None

    def close(self) -> None:
        """End the answer under way."""
        self._records.close()

    def before(self, offset: int) -> Iterator[Record]:
        """Those that begin before `offset` and were not given yet. Raises as `stream` does."""
        waiting = [self._next] if self._next is not None else []
        self._next = None
        for record in chain(waiting, self._records):
            if record[0] >= offset:
                self._next = record
                return
            yield record

    def _from_all_spans(self, end: int) -> Generator[Record, None, None]:
        for start in range(0, end, SPAN_BYTES):
            params = {"source": self._source, "start": str(start), "end": str(min(end, start + SPAN_BYTES))}
            with stream(self._client, "/api/v1/sources/lines", params, {}, _IDLE_SECONDS) as answer:
                yield from map(_decode_record, whole_lines(answer.iter_bytes()))
