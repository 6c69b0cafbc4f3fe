"""Following real files into a sink that keeps the rules of the ledger: compare-and-append, nothing else."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import google_crc32c
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from logriver.decode.reference import ReferenceDecoder
from logriver.errors import Overloaded, RangeConflict, SettingsError, Unavailable
from logriver.file_position import Committed, FileRange
from logriver.follow.follower import Follower
from logriver.queue.ledger import Ledger as QueueLedger
from logriver.record import Batch, Known, Receipt
from logriver.settings import FollowSettings, SourceTable

pytestmark = pytest.mark.anyio
MAX_RECORD_BYTES = 2_000_000
MESSAGE, OFFSET = 2, 9


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass
class Ledger:
    """A sink in memory with the queue's own ledger. `failing` says what to raise instead of taking a batch."""

    taken: list[Batch] = field(default_factory=list)
    kept: QueueLedger = field(default_factory=lambda: QueueLedger([]))
    failing: Callable[[], Exception | None] = lambda: None

    async def put(self, batch: Batch) -> Receipt:
        failure = self.failing()
        if failure:
            raise failure
        assert batch.range is not None
        self.kept.begin(batch.range)
        self.kept.apply(batch.range)
        if batch.range.start < batch.range.end:
            self.taken.append(batch)
        return Receipt(batch.decoded.count)

    async def known(self, follower: str) -> Known:
        return self.kept.known(follower)

    @property
    def ledger(self) -> dict[str, Committed]:
        return {held.identity.id: held for held in self.kept.entries()}

    async def wait_searchable(self, seq: int, timeout_seconds: float) -> bool:
        return True

    def rows(self) -> list[list[str]]:
        lines = b"".join(batch.decoded.rows for batch in self.taken).decode().splitlines()
        return [line.split("\t") for line in lines]

    def messages(self) -> list[str]:
        return [row[MESSAGE] for row in self.rows()]

    def committed_bytes(self) -> int:
        return sum(held.end for held in self.ledger.values())

    def ranges(self) -> list[FileRange]:
        return [batch.range for batch in self.taken if batch.range]


@dataclass
class Slow(Ledger):
    """Takes a batch only when `go` is set; `asked` is, when it was given one."""

    go: asyncio.Event = field(default_factory=asyncio.Event)
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    async def put(self, batch: Batch) -> Receipt:
        self.asked.set()
        await self.go.wait()
        return await super().put(batch)


@asynccontextmanager
async def following(
    sink: Ledger,
    *sources: str | Path | SourceTable,
    from_end: bool = False,
    max_record_bytes: int = MAX_RECORD_BYTES,
    max_open: int = 500,
    at_once: int = 8,
) -> AsyncIterator[Follower]:
    settings = FollowSettings(
        follow=[str(source) for source in sources if not isinstance(source, SourceTable)],
        sources=[source for source in sources if isinstance(source, SourceTable)],
        name="test",
        max_record_bytes=max_record_bytes,
        from_end=from_end,
    )
    follower = Follower(sink, settings, ReferenceDecoder, zone="UTC", max_open=max_open, at_once=at_once)
    task = asyncio.create_task(follower.run())
    try:
        yield follower
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        await asyncio.sleep(0.005)


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


async def test_lines_arrive_in_order_with_their_offsets(tmp_path: Path) -> None:
    path, sink = tmp_path / "app.log", Ledger()
    append(path, b"one\r\n\ntwo\n")
    async with following(sink, path):
        await until(lambda: sink.messages() == ["one", "two"])
        append(path, b"three\nfo")
        await until(lambda: len(sink.messages()) == 3)
        append(path, b"ur\n")
        await until(lambda: len(sink.messages()) == 4)
    assert [(row[MESSAGE], int(row[OFFSET])) for row in sink.rows()] == [
        ("one", 0),
        ("two", 6),
        ("three", 10),
        ("four", 16),
    ]
    assert {batch.source for batch in sink.taken} == {str(path)}


async def test_events_wake_sooner_than_the_poll(tmp_path: Path) -> None:
    path, sink = tmp_path / "app.log", Ledger()
    append(path, b"first\n")
    delays = []
    async with following(sink, path):
        await until(lambda: len(sink.messages()) == 1)
        for count in range(2, 7):
            begin = time.monotonic()
            append(path, b"more\n")
            await until(lambda expected=count: len(sink.messages()) == expected)  # type: ignore[misc]
            delays.append(time.monotonic() - begin)
    assert sorted(delays)[2] < 0.5, delays


async def test_range_carries_checksum_and_tail(tmp_path: Path) -> None:
    path, sink = tmp_path / "app.log", Ledger()
    data = b"".join(b"line %d\n" % number for number in range(100))
    append(path, data[:350])
    async with following(sink, path):
        await until(lambda: len(sink.taken) == 1)
        append(path, data[350:])
        await until(lambda: sink.committed_bytes() == len(data))
    first, *_, last = sink.ranges()
    assert first.identity == last.identity
    assert first.identity.head_length == 350
    assert last.crc == google_crc32c.value(data)
    assert last.tail == data[-256:]


async def test_partial_line_waits_for_its_end(tmp_path: Path) -> None:
    path, sink = tmp_path / "app.log", Ledger()
    append(path, b"whole\nhalf")
    async with following(sink, path) as follower:
        await until(lambda: sink.messages() == ["whole"])
        await asyncio.sleep(1.2)
        assert sink.messages() == ["whole"]
        (status,) = follower.sources()
        assert (status.committed_bytes, status.size_bytes, status.lag_bytes) == (6, 10, 4)
        assert status.path == str(path)
        assert status.last_event_ns > 0


async def test_file_that_appears_later_and_empty_file(tmp_path: Path) -> None:
    path, sink = tmp_path / "later" / "app.log", Ledger()
    async with following(sink, f"text={path}") as follower:
        await until(lambda: [status.error for status in follower.sources()] == ["no such file yet"])
        path.parent.mkdir()
        path.touch()
        await until(lambda: [status.error for status in follower.sources()] == [""])
        append(path, b"half")
        append(path, b" and half\n")
        await until(lambda: sink.messages() == ["half and half"])
    assert sink.ranges()[0].identity.head_length == len(b"half and half\n")


async def test_restart_goes_on_where_the_ledger_ends(tmp_path: Path) -> None:
    path, sink = tmp_path / "app.log", Ledger()
    expected = []
    for start in range(5):
        expected += [f"start {start}", "again"]
        append(path, f"start {start}\nagain\nhalf".encode())
        async with following(sink, path):
            await until(lambda: len(sink.messages()) == len(expected))  # noqa: B023
        append(path, b"\n")
        expected.append("half")
    async with following(sink, path):
        await until(lambda: len(sink.messages()) == len(expected))
    assert sink.messages() == expected
    assert len(sink.ledger) == 1
    assert sink.ranges()[-1].crc == google_crc32c.value(path.read_bytes())


async def test_stopped_at_any_moment_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    path, sink = tmp_path / "app.log", Ledger()
    written = 0
    for delay in (0, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2):
        append(path, b"".join(b"number %d\n" % number for number in range(written, written + 20_000)))
        written += 20_000
        async with following(sink, path):
            await asyncio.sleep(delay)
    async with following(sink, path):
        await until(lambda: sink.committed_bytes() == path.stat().st_size)
    assert sink.messages() == [f"number {number}" for number in range(written)]


async def test_conflict_goes_on_where_the_sink_says(tmp_path: Path) -> None:
    path, sink = tmp_path / "app.log", Ledger()
    append(path, b"one\n")
    async with following(sink, path):
        await until(lambda: sink.messages() == ["one"])
        # Another follower of the same name was quicker.
        (held,) = sink.ledger.values()
        more = FileRange(held.identity, held.path, 4, 8, google_crc32c.value(b"one\ntwo\n"), b"one\ntwo\n")
        sink.kept.begin(more)
        sink.kept.apply(more)
        append(path, b"two\nthree\n")
        await until(lambda: sink.committed_bytes() == 14)
    assert sink.messages() == ["one", "three"]
    assert sink.ranges()[-1].crc == google_crc32c.value(path.read_bytes())


async def test_conflict_with_what_is_being_written_waits_for_it(tmp_path: Path) -> None:
    path, sink = tmp_path / "app.log", Ledger()
    append(path, b"one\n")
    failures: Iterator[Exception | None] = iter([RangeConflict("being written", held_end=0)] * 3)
    sink.failing = lambda: next(failures, None)
    async with following(sink, path):
        await until(lambda: sink.messages() == ["one"])
    assert sink.ranges()[0].start == 0


@pytest.mark.parametrize("failure", [Overloaded("backlog is full"), Unavailable("disk is full")])
async def test_overloaded_sink_is_tried_again(tmp_path: Path, failure: Overloaded) -> None:
    path, sink = tmp_path / "app.log", Ledger()
    failures: Iterator[Exception | None] = iter([failure])
    sink.failing = lambda: next(failures, None)
    append(path, b"patience\n")
    async with following(sink, path) as follower:
        await until(lambda: [status.error for status in follower.sources()] == [failure.message])
        assert sink.taken == []
        await until(lambda: sink.messages() == ["patience"])
        await until(lambda: [status.error for status in follower.sources()] == [""])


async def test_refused_lines_travel_with_the_good_ones(tmp_path: Path) -> None:
    path, sink = tmp_path / "api.log", Ledger()
    append(path, b"2024-09-14 16:15:35 cust_5 /a 200 0.772\nrubbish\n2024-09-14 16:15:36 cust_5 /b 200 0.1\n")
    async with following(sink, f"api_requests={path}"):
        await until(lambda: sink.committed_bytes() == path.stat().st_size)
    (batch,) = sink.taken
    assert batch.decoded.count == 2
    assert [(dead.raw, dead.offset, dead.reason) for dead in batch.dead] == [
        (b"rubbish", 40, "expected 6 tokens, got 1")
    ]


async def test_line_over_the_limit_is_refused_and_the_next_taken(tmp_path: Path) -> None:
    path, sink = tmp_path / "app.log", Ledger()
    append(path, b"before\n" + b"x" * 3_000_000)
    async with following(sink, path):
        await until(lambda: sink.messages() == ["before"])
        append(path, b"y" * 2_500_000)
        append(path, b"\nafter\n")
        await until(lambda: sink.messages() == ["before", "after"])
    (dead,) = [dead for batch in sink.taken for dead in batch.dead]
    assert (dead.offset, dead.reason) == (7, "line of 5500000 bytes, the limit is 2000000")
    assert 0 < len(dead.raw) <= 64 * 1024
    assert sink.ranges()[-1].crc == google_crc32c.value(path.read_bytes())


async def test_long_line_within_the_limit_is_taken(tmp_path: Path) -> None:
    path, sink = tmp_path / "app.log", Ledger()
    append(path, b"x" * MAX_RECORD_BYTES + b"\nafter\n")
    async with following(sink, path):
        await until(lambda: len(sink.messages()) == 2)
    assert len(sink.messages()[0]) == MAX_RECORD_BYTES


@pytest.mark.parametrize("changed", [b"", b"short\n", b"entirely other\nand longer than before\n"])
async def test_changed_file_is_a_new_incarnation(tmp_path: Path, changed: bytes) -> None:
    path, sink = tmp_path / "app.log", Ledger()
    append(path, b"first line\nsecond\n")
    async with following(sink, path):
        await until(lambda: len(sink.messages()) == 2)
        path.write_bytes(changed)
        await asyncio.sleep(1.2)
        append(path, b"last\n")
        await until(lambda: sink.messages()[-1] == "last")
    assert sink.messages() == ["first line", "second", *changed.decode().splitlines(), "last"]
    first, second = sink.ledger.values()
    assert (first.over, first.gaps, second.over, second.identity.incarnation) == (True, (), False, 1)


async def test_file_written_anew_while_away_is_a_new_incarnation(tmp_path: Path) -> None:
    path, sink = tmp_path / "app.log", Ledger()
    append(path, b"first life\n")
    async with following(sink, path):
        await until(lambda: len(sink.messages()) == 1)
    path.write_bytes(b"second life, longer\n")
    for _ in range(2):
        async with following(sink, path):
            await until(lambda: sink.committed_bytes() == 31)
    assert sink.messages() == ["first life", "second life, longer"]
    assert len(sink.ledger) == 2


async def test_from_end_takes_only_what_is_added(tmp_path: Path) -> None:
    path, later, sink = tmp_path / "app.log", tmp_path / "later.log", Ledger()
    append(path, b"old\nhalf")
    async with following(sink, tmp_path / "*.log", from_end=True):
        await until(lambda: sink.committed_bytes() == 4)
        append(path, b" new\n")
        append(later, b"all of it\n")
        await until(lambda: len(sink.messages()) == 2)
    assert sorted(sink.messages()) == ["all of it", "half new"]
    append(path, b"while away\n")
    async with following(sink, path, from_end=True):
        await until(lambda: len(sink.messages()) == 3)
    assert {held.crc for held in sink.ledger.values()} == {
        google_crc32c.value(path.read_bytes()),
        google_crc32c.value(later.read_bytes()),
    }


async def test_a_file_is_read_once_whatever_leads_to_it(tmp_path: Path) -> None:
    path, sink = tmp_path / "b.log", Ledger()
    append(path, b"once\n")
    (tmp_path / "c.log").symlink_to(path)
    os.link(path, tmp_path / "d.log")
    async with following(sink, tmp_path / "*.log", path):
        await until(lambda: sink.messages() == ["once"])
        append(path, b"twice\n")
        await until(lambda: len(sink.messages()) == 2)
        await asyncio.sleep(1.2)
    assert sink.messages() == ["once", "twice"]
    assert {batch.source for batch in sink.taken} == {str(path)}


async def test_directory_leaves_out_hidden_and_compressed_files(tmp_path: Path) -> None:
    sink = Ledger()
    for name in ("app.log", "plain", ".hidden", "old.gz"):
        append(tmp_path / name, f"{name}\n".encode())
    (tmp_path / "inner").mkdir()
    append(tmp_path / "inner" / "deep.log", b"deep\n")
    async with following(sink, tmp_path):
        await until(lambda: len(sink.messages()) == 2)
        await asyncio.sleep(1.2)
    assert sorted(sink.messages()) == ["app.log", "plain"]


async def test_renamed_file_is_read_to_its_end_beside_the_new_one(tmp_path: Path) -> None:
    path, sink = tmp_path / "app.log", Ledger()
    append(path, b"one\n")
    async with following(sink, path):
        await until(lambda: sink.messages() == ["one"])
        renamed = path.rename(tmp_path / "app.log.1")
        append(renamed, b"two\n")
        append(path, b"three\n")
        await until(lambda: len(sink.messages()) == 3)
    assert sorted(sink.messages()) == ["one", "three", "two"]
    assert len(sink.ledger) == 2


async def test_format_is_recognised(tmp_path: Path) -> None:
    sink = Ledger()
    append(tmp_path / "json.log", b'{"message":"from json","level":"warn"}\n')
    append(tmp_path / "api.log", b"2024-09-14 16:15:35 cust_5 /a 200 0.772\n")
    append(tmp_path / "text.log", b"2015-10-18 18:01:47,978 INFO [main] hello\n")
    async with following(sink, tmp_path / "*.log") as follower:
        await until(lambda: len(sink.messages()) == 3)
        formats = {Path(status.path).name: status.format for status in follower.sources()}
    assert formats == {"json.log": "json", "api.log": "api_requests", "text.log": "text"}
    assert "from json" in sink.messages()


async def test_many_files_at_once(tmp_path: Path) -> None:
    sink = Ledger()
    async with following(sink, tmp_path / "*.log"):
        for number in range(50):
            append(tmp_path / f"{number}.log", f"file {number}\n".encode())
        await until(lambda: len(sink.messages()) == 50)
    assert sorted(sink.messages()) == sorted(f"file {number}" for number in range(50))


def test_unknown_format_is_refused() -> None:
    with pytest.raises(SettingsError, match="unknown format 'jsn'"):
        Follower(Ledger(), FollowSettings(follow=["jsn=app.log"]), ReferenceDecoder)


lines = st.lists(st.binary(max_size=30).map(lambda line: line.replace(b"\n", b"")), min_size=1, max_size=20)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=lines, cuts=st.lists(st.integers(0, 600), max_size=6), stops=st.integers(0, 3))
def test_any_split_into_writes_gives_the_same_rows(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], cuts: list[int], stops: int
) -> None:
    data = b"\n".join([*lines, b""])
    path, sink = tmp_path_factory.mktemp("split") / "app.log", Ledger()
    bounds = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    writes = [data[start:end] for start, end in pairwise(bounds)]

    async def write_and_follow() -> None:
        for index in range(0, len(writes), stops + 1):
            async with following(sink, f"text={path}"):
                for write in writes[index : index + stops + 1]:
                    append(path, write)
                    whole = path.read_bytes().rfind(b"\n") + 1
                    await until(lambda whole=whole: sink.committed_bytes() >= whole)  # type: ignore[misc]

    asyncio.run(write_and_follow())
    expected, offset = [], 0
    for line in lines:
        text = line.removesuffix(b"\r")
        if text:
            message = text.decode("utf-8", "replace").replace("\\", "\\\\").replace("\t", "\\t")
            expected.append((message, offset))
        offset += len(line) + 1
    rows = b"".join(batch.decoded.rows for batch in sink.taken).decode().split("\n")[:-1]
    assert [(row.split("\t")[MESSAGE], int(row.split("\t")[OFFSET])) for row in rows] == expected
