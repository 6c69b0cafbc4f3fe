"""Compressed files that are small on disk and large or endless when they are read: refused before they are inflated."""

import bz2
import gzip
import io
import lzma
import time
from collections.abc import Callable

import pytest
import zstandard

from logriver.errors import Unavailable, Unprocessable
from logriver.files import compressed

MB = 1024 * 1024
LIMIT = 64 * MB
HEAD, RUN, EMPTY = b"\x28\xb5\x2f\xfd\x00\x58", (131_072 << 3 | 1 << 1).to_bytes(3, "little") + b"x", bytes(3)
LAST = b"\x01\x00\x00"


def zeros(pack: Callable[[bytes], bytes], megabytes: int) -> bytes:
    return pack(bytes(megabytes * MB))


def large_dictionary() -> bytes:
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 1024 * MB, "preset": 0}]
    return lzma.compress(b"{}\n", lzma.FORMAT_XZ, filters=filters)


BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "gzip": (lambda: zeros(lambda data: gzip.compress(data, 9), 200), "times its size"),
    "bzip2": (lambda: zeros(bz2.compress, 90), "times its size"),
    "xz": (lambda: zeros(lambda data: lzma.compress(data, preset=0), 90), "times its size"),
    "zstd": (lambda: HEAD + RUN * 30_000 + LAST, "times its size"),
    "empty members": (lambda: gzip.compress(b"") * 300_000, "stand for nothing"),
    "empty blocks": (lambda: HEAD + EMPTY * 2_000_000 + LAST, "stand for nothing"),
    "zeros between streams": (lambda: lzma.compress(b"{}\n") + bytes(8 * MB), "stand for nothing"),
    "a dictionary of a gigabyte": (large_dictionary, "limit"),
    "a window of a terabyte": (lambda: b"\x28\xb5\x2f\xfd\x00\xf0" + RUN + LAST, "cannot be decompressed"),
}


def inflate(data: bytes) -> int:
    """How much it inflates to."""
    how = compressed.inflater_of(data[:10])
    assert how is not None
    with compressed.temporary_file() as target:
        for _ in compressed.inflated(io.BytesIO(data), how, target):
            pass
        return target.seek(0, io.SEEK_END)


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_before_it_is_inflated(name: str) -> None:
    make, said = BOMBS[name]
    bomb = make()
    used = time.thread_time()
    how = compressed.inflater_of(bomb[:10])
    assert how is not None
    with compressed.temporary_file() as target:
        with pytest.raises(Unprocessable) as error:
            for _ in compressed.inflated(io.BytesIO(bomb), how, target):
                pass
        written = target.seek(0, io.SEEK_END)
    assert said in error.value.message
    assert written <= LIMIT
    assert time.thread_time() - used < 5


PACKERS = {
    "gzip": lambda data: gzip.compress(data, 1),
    "bzip2": bz2.compress,
    "xz": lambda data: lzma.compress(data, preset=1),
    "zstd": zstandard.ZstdCompressor().compress,
}


@pytest.mark.parametrize("name", PACKERS)
def test_logs_are_inflated_whole_and_in_several_parts(name: str) -> None:
    pack = PACKERS[name]
    data = b"".join(b"2026-11-30 12:00:00 line %d of a log\n" % number for number in range(30_000))
    assert inflate(pack(data)) == len(data)
    assert inflate(pack(data[:1000]) * 50) == 50_000
    if name == "xz":
        assert inflate(lzma.compress(data[:1000], preset=9)) == 1000
        assert inflate(pack(data[:1000]) + bytes(8) + pack(data[:1000]) + bytes(4)) == 2000
    with pytest.raises(Unprocessable, match="cannot be decompressed"):
        inflate(pack(data)[:-5])


@pytest.fixture
def little_space(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compressed, "MAX_INFLATED_BYTES", 3 * MB)


@pytest.mark.usefixtures("little_space")
def test_all_temporary_files_share_one_limit() -> None:
    data = gzip.compress(b"x" * (2 * MB))
    with compressed.temporary_file() as first:
        first.write(bytes(2 * MB))
        first.flush()
        with pytest.raises(Unavailable, match="too many compressed files"):
            inflate(data)
    assert inflate(data) == 2 * MB
