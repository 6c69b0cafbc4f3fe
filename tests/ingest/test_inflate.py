"""Bodies that stream may be compressed: each piece is inflated as it comes, and never much at a time."""

import gzip
import random
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from logriver.errors import BadBody, UnknownEncoding
from logriver.ingest.inflate import inflater
from tests.ingest import test_pipeline
from tests.ingest.test_bombs import EMPTY_FRAME, EMPTY_MEMBER, FRAME_HEAD, LAST_BLOCK, MB, RUN_BLOCK, SKIPPABLE
from tests.ingest.test_pipeline import Serving, answer_of, wait_until

BUDGET_BYTES = 20 * MB


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_content_size=False).compress(data)


times = st.integers(1, 50)
PACK: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "zstd": zstd}


def inflated(body: bytes, encoding: str, piece_bytes: int = 65_536) -> Iterator[bytes]:
    inflating = inflater(encoding)
    for at in range(0, len(body), piece_bytes):
        inflating.feed(body[at : at + piece_bytes])
        while inflating.has_more:
            yield inflating.step()
    inflating.end()


@pytest.mark.parametrize("encoding", PACK)
@given(
    parts=st.lists(st.binary(max_size=3_000), max_size=5), piece_bytes=st.integers(1, 300), repeated=st.integers(1, 50)
)
def test_wherever_a_body_is_cut_it_is_what_it_was(
    encoding: str, parts: list[bytes], piece_bytes: int, repeated: int
) -> None:
    whole = [part * repeated for part in parts]
    body = b"".join(map(PACK[encoding], whole))
    assert b"".join(inflated(body, encoding, piece_bytes)) == b"".join(whole)
    for short in {len(body) - 1, len(body) // 2} if parts else set():
        end_of_part = short in _ends(whole, PACK[encoding])
        if not end_of_part:
            with pytest.raises(BadBody, match="is cut off"):
                list(inflated(body[:short], encoding, piece_bytes))


def _ends(parts: list[bytes], pack: Callable[[bytes], bytes]) -> set[int]:
    ends, at = {0}, 0
    for part in parts:
        at += len(pack(part))
        ends.add(at)
    return ends


@pytest.mark.parametrize("encoding", PACK)
def test_what_is_not_in_its_encoding_is_refused(encoding: str) -> None:
    for body in (b"not compressed at all", PACK[encoding](b"x") + b"and more"):
        with pytest.raises(BadBody, match=f"is not {encoding}"):
            list(inflated(body, encoding))


ENDLESS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "gzip": ("gzip", lambda: gzip.compress(bytes(100 * MB), 9)),
    "zstd": ("zstd", lambda: zstd(bytes(100 * MB))),
    "runs": ("zstd", lambda: FRAME_HEAD + RUN_BLOCK * 800 + LAST_BLOCK),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_a_step_makes_no_more_than_it_says(name: str) -> None:
    encoding, make = ENDLESS[name]
    body, most, size = make(), inflater(encoding).step_bytes, 0
    tracemalloc.start()
    for piece in inflated(body, encoding):
        assert len(piece) <= most
        size += len(piece)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size > 99 * MB
    # The decoder collects a step before it is one piece.
    assert peak < 2 * most + MB


@pytest.mark.parametrize(
    ("encoding", "part"),
    [("gzip", EMPTY_MEMBER), ("zstd", EMPTY_FRAME), ("zstd", SKIPPABLE)],
    ids=["gzip", "zstd", "skippable"],
)
def test_parts_that_hold_nothing_are_refused(encoding: str, part: bytes) -> None:
    used = time.thread_time()
    with pytest.raises(BadBody, match="parts that hold nothing"):
        list(inflated(part * 1_000_000, encoding))
    assert time.thread_time() - used < 1
    many = PACK[encoding](b"x") + part * 5_000
    assert b"".join(inflated(many * 4, encoding)) == b"xxxx"


def test_a_huge_window_is_refused() -> None:
    with pytest.raises(BadBody):
        list(inflated(b"\x28\xb5\x2f\xfd\x00\xf0" + RUN_BLOCK * 2 + LAST_BLOCK, "zstd"))
    with pytest.raises(UnknownEncoding):
        inflater("br")


# -- through the pipeline ----------------------------------------------------------------------------------------------


@pytest.fixture
def serving(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serving]:
    monkeypatch.setattr(test_pipeline, "BUDGET_BYTES", BUDGET_BYTES)
    running = Serving()
    yield running
    running.stop()


@pytest.mark.parametrize("encoding", ["gzip", "zstd", "GZIP", "identity", ""])
def test_a_compressed_stream_is_put_while_it_comes(serving: Serving, encoding: str) -> None:
    packer: Any = {"gzip": zlib.compressobj(wbits=31), "zstd": zstandard.ZstdCompressor().compressobj()}.get(
        encoding.lower()
    )
    # Flushed: what was sent can be read.
    flush = zstandard.COMPRESSOBJ_FLUSH_BLOCK if encoding == "zstd" else zlib.Z_SYNC_FLUSH
    choice = random.Random(1)
    head = f"POST /upload HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Encoding: {encoding}\r\n"
    lines = [bytes(choice.choices(b"abcdef", k=50_000)) for _ in range(5)]
    with serving.connection() as connection:
        connection.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        for number, line in enumerate(lines, 1):
            data = line + b"\n"
            sent = packer.compress(data) + packer.flush(flush) if packer else data
            connection.sendall(b"%x\r\n%b\r\n" % (len(sent), sent))
            wait_until(lambda number=number: len(serving.kept.rows) == number)  # type: ignore[misc]
        last = packer.flush() if packer else b""
        connection.sendall((b"%x\r\n%b\r\n" % (len(last), last) if last else b"") + b"0\r\n\r\n")
        assert answer_of(connection) == (202, "OK 5 in 1")
    assert serving.kept.rows == lines
    wait_until(lambda: is_free(serving))


def test_streams_that_cannot_be_inflated_are_refused(serving: Serving) -> None:
    def post(body: bytes, encoding: str) -> tuple[int, str]:
        return serving.ask("POST /upload", body, f"Content-Encoding: {encoding}")

    packed = gzip.compress(b"one\n")
    assert post(packed, "br")[0] == 415
    assert post(packed[:-1], "gzip") == (400, "refused: the gzip body is cut off")
    assert post(packed, "zstd")[0] == 400
    assert serving.kept.rows == [b"one"], "what came whole before the end is kept, as of any stream"
    serving.budget.reserve(BUDGET_BYTES - 100_000)
    assert post(packed, "gzip") == (429, "refused: too many bytes are being received")
    serving.budget.release(BUDGET_BYTES - 100_000)
    assert is_free(serving)


def is_free(serving: Serving) -> bool:
    """Whether nothing of the budget is kept."""
    return serving.budget._reserved == 0
