"""While the sink works on a chunk the next one is read: nothing is lost, doubled or out of order by that."""

import asyncio
import random
from pathlib import Path

import pytest

from logriver.errors import Overloaded, RangeConflict
from logriver.follow.growing_file import CHUNK_BYTES, GrowingFile
from tests.follow.test_follow import Ledger, Slow, append, following, until

pytestmark = pytest.mark.anyio

LINE = "line {:07} " + "x" * 88
COUNT = 6 * CHUNK_BYTES // 101


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def lines(count: int = COUNT) -> list[str]:
    return [LINE.format(number) for number in range(count)]


def write(path: Path, texts: list[str]) -> None:
    append(path, "".join(f"{text}\n" for text in texts).encode())


async def test_the_next_chunk_is_read_while_the_sink_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    chunk_after = GrowingFile.chunk_after

    def noted(file: GrowingFile, *given: object) -> object:
        chunk = chunk_after(file, *given)  # type: ignore[arg-type]
        read.append(chunk.start if chunk else -1)
        return chunk

    monkeypatch.setattr(GrowingFile, "chunk_after", noted)
    path, sink = tmp_path / "app.log", Slow()
    write(path, lines())
    async with following(sink, f"text={path}"):
        await until(lambda: len(read) == 1)
        await asyncio.sleep(0.2)
        # One chunk more than the sink works on, and no further.
        assert (len(read), sink.taken) == (1, [])
        sink.go.set()
        await until(lambda: sink.committed_bytes() == path.stat().st_size)
    assert sink.messages() == lines()
    assert [covers.start for covers in sink.ranges()] == sorted({0, *read})


async def test_refusals_and_conflicts_between_chunks_lose_and_double_nothing(tmp_path: Path) -> None:
    choice = random.Random(7)

    def failing() -> Exception | None:
        held = sink.committed_bytes()
        match choice.randrange(4):
            case 0:
                return Overloaded("later", retry_after_seconds=0)
            case 1:
                return RangeConflict("not there", held_end=held)
        return None

    path, sink = tmp_path / "app.log", Ledger(failing=failing)
    write(path, lines())
    async with following(sink, f"text={path}"):
        await until(lambda: sink.committed_bytes() == path.stat().st_size, 60)
    assert sink.messages() == lines()


async def test_what_was_read_ahead_of_a_truncation_is_of_the_old_content(tmp_path: Path) -> None:
    path, sink = tmp_path / "app.log", Slow()
    write(path, lines())
    async with following(sink, f"text={path}"):
        await asyncio.sleep(0.3)
        path.write_bytes(b"")
        write(path, ["new"])
        sink.go.set()
        await until(lambda: sink.messages()[-1:] == ["new"])
    messages = sink.messages()
    assert messages[:-1] == lines(len(messages) - 1)
    first, second = sink.kept.entries()
    assert {first.end, second.end} == {sum(len(text) + 1 for text in messages[:-1]), len("new\n")}
    assert [gap.reason for held in (first, second) for gap in held.gaps] == ["truncated before it was read"]
