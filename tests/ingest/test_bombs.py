"""Compressed bodies that are small on their way, and large or endless afterwards: memory and time stay bounded."""

import gzip
import time
import tracemalloc
import zlib
from collections.abc import Callable

import pytest
import zstandard

from logriver.errors import BadBody, LogriverError, Overloaded, TooLarge
from logriver.ingest.decompress import decompress

MB = 1_000_000
MOST = 20 * MB
EMPTY_MEMBER = gzip.compress(b"")
EMPTY_FRAME = zstandard.ZstdCompressor(write_content_size=False).compress(b"")
SKIPPABLE = b"\x50\x2a\x4d\x18" + bytes(4)
FRAME_HEAD = b"\x28\xb5\x2f\xfd" + b"\x00\x58"
"""Of a frame with a window of 2 MB and no size."""
EMPTY_BLOCK = bytes(3)
RUN_BLOCK = (131_072 << 3 | 1 << 1).to_bytes(3, "little") + b"x"
LAST_BLOCK = b"\x01\x00\x00"

BOMBS: dict[str, tuple[str, Callable[[], bytes], type[LogriverError]]] = {
    "gzip": ("gzip", lambda: gzip.compress(bytes(400 * MB), 1), TooLarge),
    "empty members": ("gzip", lambda: EMPTY_MEMBER * 1_000_000, BadBody),
    "small members": ("gzip", lambda: gzip.compress(b"{}\n") * 1_000_000, BadBody),
    "zstd": ("zstd", lambda: zstandard.ZstdCompressor().compress(bytes(400 * MB)), TooLarge),
    "runs": ("zstd", lambda: FRAME_HEAD + RUN_BLOCK * 100_000 + LAST_BLOCK, TooLarge),
    "empty frames": ("zstd", lambda: EMPTY_FRAME * 2_000_000, BadBody),
    "skippable frames": ("zstd", lambda: SKIPPABLE * 2_000_000, BadBody),
    "empty blocks": ("zstd", lambda: FRAME_HEAD + EMPTY_BLOCK * 6_000_000 + LAST_BLOCK, BadBody),
    "a lie about the size": (
        "zstd",
        lambda: b"\x28\xb5\x2f\xfd\xe0" + (2**50).to_bytes(8, "little") + RUN_BLOCK * 2 + LAST_BLOCK,
        TooLarge,
    ),
    "a window of a terabyte": ("zstd", lambda: b"\x28\xb5\x2f\xfd\x00\xf0" + RUN_BLOCK * 2 + LAST_BLOCK, BadBody),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_before_it_costs_much(name: str) -> None:
    encoding, make, error = BOMBS[name]
    bomb = make()
    used = time.thread_time()
    asked: list[int] = []
    with pytest.raises(error):
        decompress(bomb, encoding, MOST, asked.append)
    used = time.thread_time() - used
    print(f"{name}: {len(bomb) / MB:.1f} MB, {used:.2f} s of CPU, {max(asked, default=0) / MB:.0f} MB asked for")
    assert used < 1.5
    assert max(asked, default=0) <= 2 * MOST


def test_memory_is_not_taken_before_it_is_asked_for() -> None:
    bomb = gzip.compress(bytes(400 * MB), 1)

    def refuse(size: int) -> None:
        if size > 3 * MB:
            raise Overloaded("no more")

    tracemalloc.start()
    with pytest.raises(Overloaded):
        decompress(bomb, "gzip", 1000 * MB, refuse)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * MB


def test_many_members_and_frames_of_usual_size_are_read() -> None:
    data = b'{"message":"one of many"}\n' * 100
    for encoding, packed in (("gzip", gzip.compress(data)), ("zstd", zstandard.ZstdCompressor().compress(data))):
        assert decompress(packed * 5_000, encoding, MOST, lambda size: None) == data * 5_000
        with pytest.raises(BadBody):
            decompress(packed * 2 + packed[:-3], encoding, MOST, lambda size: None)
        with pytest.raises(BadBody):
            decompress(packed + b"and more", encoding, MOST, lambda size: None)


def test_data_that_does_not_compress_is_inflated_in_time() -> None:
    """No step copies all that is left of the body."""
    data = b"".join(
        zlib.crc32(bytes([number & 255, number >> 8 & 255, number >> 16])).to_bytes(4, "little")
        for number in range(2 * MB)
    )
    packed = gzip.compress(data * 2, 1)
    used = time.thread_time()
    assert decompress(packed, "gzip", MOST, lambda size: None) == data * 2
    assert time.thread_time() - used < 1
