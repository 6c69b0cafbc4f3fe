"""Whatever fails between sender and store, each batch is answered and the watermark reaches the last number."""

import asyncio
import errno
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from logriver.file_position import FileIdentity, FileRange
from logriver.queue import backlog as backlog_module
from logriver.queue import group_commit, wal_segment
from logriver.queue import wal as wal_module
from logriver.queue.backlog import Backlog
from logriver.queue.dead_letters import DeadLetters
from logriver.queue.ledger import Ledger
from logriver.queue.segment_header import SegmentHeader
from logriver.queue.state import State
from logriver.queue.wal import Wal
from logriver.record import Batch, BatchKey, Decoded, Receipt, Refused
from logriver.store.base import Block, Chunks, Limits, Param, PartitionSize, QueryResult
from logriver.write.partitions import Partitions
from logriver.write.writer import Writer

LARGE = 10**9
NODE = "node"
WAIT_SECONDS = 20
BETWEEN = re.compile(r"_seq BETWEEN (\d+) AND (\d+)")


class MemoryStore:
    """A store that keeps each number's row, and counts how often it was stored."""

    def __init__(self) -> None:
        self.rows: dict[int, bytes] = {}
        self.doubled: list[int] = []

    def insert(self, block: Block) -> None:
        for place, row in enumerate(block.rows.split(b"\n")[:-1]):
            seq = block.first_seq + place
            if seq in self.rows:
                self.doubled.append(seq)
            self.rows[seq] = row.split(b"\t")[0]

    def query(self, sql: str, params: Mapping[str, Param] | None = None, limits: Limits = Limits()) -> QueryResult:
        found = BETWEEN.search(sql)
        assert found is not None, sql
        held = [seq for seq in self.rows if int(found[1]) <= seq <= int(found[2])]
        rows: list[list[object]] = [[len(held)]] if "count()" in sql else [[seq] for seq in held]
        return QueryResult((), rows, 0, 0, 0.0)

    def stream(self, sql: str, params: Mapping[str, Param] | None, format: str, limits: Limits) -> Chunks:
        raise NotImplementedError

    def partitions(self) -> list[PartitionSize]:
        return []

    def drop(self, partition: int) -> None:
        raise NotImplementedError


class Faults:
    """Makes the next call of what was chosen raise, on whatever thread it is."""

    PLACES: Mapping[str, tuple[object, str]] = {
        "encode": (wal_module, "encode_record"),
        "encode apart": (wal_module, "encode_apart"),
        "begin a range": (Ledger, "begin"),
        "apply a range": (Ledger, "apply"),
        "fail a range": (Ledger, "failed"),
        "extents": (group_commit, "_extents"),
        "open a segment": (SegmentHeader, "encode"),
        "write": (os, "writev"),
        "sync": (os, "fdatasync"),
        "index": (wal_segment, "Index"),
        "index extent": (wal_segment.Extent, "extend"),
        "add to the backlog": (Backlog, "_add"),
        "claim": (backlog_module, "_Claim"),
        "read": (Backlog, "read"),
        "dead_letter": (DeadLetters, "dead_letter"),
        "dead_lettered": (DeadLetters, "dead_lettered"),
        "choose a partition": (Partitions, "_choose"),
        "insert": (MemoryStore, "insert"),
        "verify": (MemoryStore, "query"),
        "acknowledge": (Backlog, "ack"),
    }

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._armed: dict[str, tuple[int, BaseException]] = {}
        self.met: set[str] = set()
        self._lock = threading.Lock()
        for name, (owner, attribute) in self.PLACES.items():
            patch.setattr(owner, attribute, self._failing(name, getattr(owner, attribute)))

    def arm(self, name: str, after: int, error: BaseException) -> None:
        with self._lock:
            self._armed[name] = (after, error)

    def disarm(self) -> None:
        with self._lock:
            self._armed.clear()

    def strike(self, name: str) -> None:
        with self._lock:
            after, error = self._armed.pop(name, (0, None))
            if after:
                assert error is not None
                self._armed[name] = (after - 1, error)
                return
        if error is not None:
            self.met.add(name)
            raise error

    def _failing(self, name: str, call: Callable[..., object]) -> Callable[..., object]:
        def failing(*arguments: object, **named: object) -> object:
            self.strike(name)
            return call(*arguments, **named)

        return failing


@contextmanager
def faulty() -> Iterator[Faults]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(group_commit, "_SHOWN_SECONDS", 0.0)
        yield Faults(patch)


def quick(wal: Wal, writer: Writer) -> None:
    for loop in (wal._commit._loop, wal._keeping, *writer._loops):
        loop._backoff = (0.001, 0.01)


class Life:
    """Batches of every kind, good and hostile, put into a queue while something fails here and there."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.store = MemoryStore()
        self.accepted: list[bytes] = []
        self.number = 0
        self.file_end = 0
        self.highest = 0

    async def run(self, steps: list[list[tuple[str, str, int, BaseException]]], faults: Faults) -> None:
        state = State(self.directory / "state.db", LARGE)
        wal = Wal(self.directory / "log", NODE, state, max(self.store.rows, default=0), 2_000, LARGE)
        writer = Writer(wal, self.store, NODE, LARGE, block_records=3, block_bytes=LARGE, block_seconds=0.002)
        wal.start(asyncio.get_running_loop())
        writer.start(2)
        quick(wal, writer)
        for group in steps:
            for _, fault, after, error in group:
                if fault:
                    faults.arm(fault, after, error)
            answers = await asyncio.wait_for(
                asyncio.gather(*(self.put(wal, kind) for kind, _, _, _ in group)), WAIT_SECONDS
            )
            self.highest = max([self.highest, *answers])
        assert await wal.wait_searchable(wal._next_seq - 1, WAIT_SECONDS), (wal.watermark, wal._next_seq, wal.problems)
        assert wal.watermark == wal._next_seq - 1
        assert self.highest <= wal.watermark
        assert await asyncio.to_thread(wal.stop_receiving), "the writing thread is gone or hangs"
        assert await asyncio.to_thread(writer.join, WAIT_SECONDS)
        # What was armed and met nothing until now must not be met by the last snapshot alone.
        faults.disarm()
        assert wal.close()
        state.close()
        assert writer.problems == wal.problems == []
        assert sorted(self.store.rows.values()) == sorted(self.accepted)
        assert self.store.doubled == []

    async def put(self, wal: Wal, kind: str) -> int:
        """Put a batch; the highest number it took, 0 if it was refused."""
        self.number += 1
        rows = [f"{kind} {self.number} {place}".encode() for place in range(3)]
        batch = Batch(Decoded(b"".join(row + b"\n" for row in rows), len(rows)), "test")
        if kind == "keyed":
            batch.key = BatchKey(b"%16d" % self.number, b"content".ljust(16))
        elif kind == "apart":
            batch = Batch(Decoded(b"".join(row + b"\n" for row in rows), len(rows)), "test", apart=True)
        elif kind == "dead":
            batch.dead = [Refused(4, "bad", b"raw")]
        elif kind == "empty":
            batch, rows = Batch(Decoded(), "test", rejected=2), []
        elif kind == "range":
            batch.range = self.file_range(self.file_end, self.file_end + 10)
        elif kind != "good":
            batch = self.hostile(kind, batch)
        try:
            receipt = await wal.put(batch)
        except Exception:  # noqa: BLE001  (an error is an answer)
            return 0
        assert isinstance(receipt, Receipt)
        assert kind in KINDS, "it cannot be encoded"
        self.accepted += rows
        if kind == "range":
            self.file_end += 10
        return receipt.last_seq

    def file_range(self, start: int, end: int, path: str = "/var/log/x") -> FileRange:
        return FileRange(FileIdentity("me", 1, 2, 3, "head"), path, start, end, 0, b"")

    def hostile(self, kind: str, batch: Batch) -> Batch:
        """Batches that cannot be encoded, each in another way."""
        if kind == "surrogate source":
            batch.source = "caf\udce9.log"
        elif kind == "surrogate path":
            batch.range = self.file_range(self.file_end, self.file_end + 10, "/var/log/caf\udce9.log")
        elif kind == "huge range":
            batch.range = self.file_range(self.file_end, 2**70)
        elif kind == "huge count":
            batch.decoded.count = 2**62
        elif kind == "huge rejected":
            batch.rejected = 2**70
        elif kind == "no bytes":
            batch.decoded.rows = "text"  # type: ignore[assignment]
        elif kind == "dead surrogate":
            batch.dead = [Refused(1, "caf\udce9", b"raw")]
        return batch


KINDS = ["good", "keyed", "apart", "dead", "empty", "range"]
HOSTILE = [
    "surrogate source",
    "surrogate path",
    "huge range",
    "huge count",
    "huge rejected",
    "no bytes",
    "dead surrogate",
]
errors = st.sampled_from([MemoryError(), OSError(errno.EIO, "Input/output error"), RuntimeError("a bug")])
step = st.tuples(
    st.sampled_from(KINDS + HOSTILE),
    st.sampled_from(["", "", *Faults.PLACES]),
    st.integers(0, 2),
    errors,
)


# What is only reached where something else fails first.
REACHED_BY = {"dead_lettered": "insert", "fail a range": "sync"}


@pytest.mark.parametrize("place", Faults.PLACES)
def test_wherever_memory_runs_out_the_watermark_reaches_the_last_number(tmp_path: Path, place: str) -> None:
    kinds = [*KINDS, "surrogate source", "surrogate path", "range", *["good"] * 12]
    no_memory: BaseException = MemoryError()
    steps = [[(kind, place, 0, no_memory), (kind, REACHED_BY.get(place, ""), 0, no_memory)] for kind in kinds]
    with faulty() as faults:
        life = Life(tmp_path)
        asyncio.run(life.run(steps, faults))
        asyncio.run(life.run(steps[:4], faults))
        assert place in faults.met


@given(st.lists(st.lists(step, min_size=1, max_size=4), min_size=1, max_size=8))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
def test_whatever_fails_each_batch_is_answered_and_the_watermark_reaches_the_last_number(
    tmp_path_factory: pytest.TempPathFactory, steps: list[list[tuple[str, str, int, BaseException]]]
) -> None:
    directory = tmp_path_factory.mktemp("faults")
    try:
        with faulty() as faults:
            life = Life(directory)
            asyncio.run(life.run(steps, faults))
            # What the first life left on disk is understood by the next, and numbers go on.
            asyncio.run(life.run([[("good", "", 0, MemoryError()), ("range", "", 0, MemoryError())]], faults))
    finally:
        shutil.rmtree(directory)
