"""Lines of several machines in one order: grouped by times, marked, cut at `n`, and honest about what is missing."""

import asyncio
import re
from collections.abc import AsyncGenerator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logriver.errors import BadRequest, Forbidden, LogriverError, NotFound, Overloaded, Unavailable
from logriver.federated.merged import merged
from logriver.files import timed
from tests.cpu_time import within_cpu_time


async def in_pieces(text: bytes, size: int = 7, failure: Exception | None = None) -> AsyncGenerator[bytes, None]:
    for start in range(0, len(text), size):
        yield text[start : start + size]
    if failure:
        raise failure


def machine(*lines: str, size: int = 7, failure: Exception | None = None) -> AsyncGenerator[bytes, None]:
    return timed.blocks(in_pieces("".join(f"{line}\n" for line in lines).encode(), size, failure))


async def all_of(stream: AsyncGenerator[bytes, None]) -> tuple[bytes, LogriverError | None]:
    """What came, and what kept it from being whole."""
    got = b""
    try:
        async for piece in stream:
            got += piece
    except LogriverError as error:
        return got, error
    return got, None


def of(**machines: AsyncGenerator[bytes, None]) -> tuple[list[str], LogriverError | None]:
    return first(None, machines)


def first(n: int | None, machines: dict[str, AsyncGenerator[bytes, None]]) -> tuple[list[str], LogriverError | None]:
    got, error = asyncio.run(all_of(merged(machines, n)))
    return got.decode().splitlines(), error


def refused(error: Exception) -> AsyncGenerator[bytes, None]:
    return in_pieces(b"", failure=error)


def test_newest_first_and_marked() -> None:
    lines, error = of(
        a=machine("2026-01-01T00:00:05Z five", "2026-01-01T00:00:01Z one"),
        b=machine("2026-01-01T00:00:04Z four", '{"timestamp":"2026-01-01T00:00:02Z","message":"two"}'),
        c=machine("2026-01-01T00:00:03Z three"),
    )
    assert error is None
    assert [line.partition(": ")[0] for line in lines] == ["a", "b", "c", "b", "a"]
    assert lines[3] == 'b: {"timestamp":"2026-01-01T00:00:02Z","message":"two"}'


def test_lines_without_a_time_stay_with_their_first_line() -> None:
    lines, _ = of(
        a=machine("  at b", "  at a", "2026-01-01T00:00:05Z failed", "2026-01-01T00:00:01Z one"),
        b=machine("2026-01-01T00:00:06Z six", "2026-01-01T00:00:04Z four"),
    )
    marks = [re.sub(r"2026-01-01T00:00:0\dZ ", "", line) for line in lines]
    assert marks == ["b: six", "a:   at b", "a:   at a", "a: failed", "b: four", "a: one"]


def test_n_counts_over_all_and_cuts_within_a_block() -> None:
    def machines() -> dict[str, AsyncGenerator[bytes, None]]:
        return {
            "a": machine("2026-01-01T00:00:05Z five", "2026-01-01T00:00:01Z one"),
            "b": machine(" 2", " 1", "2026-01-01T00:00:04Z four"),
        }

    everything, _ = of(**machines())
    assert len(everything) == 5
    for n in range(7):
        assert first(n, machines())[0] == everything[:n]


def test_a_machine_without_the_file_is_left_out_unless_all_are() -> None:
    lines, error = of(a=refused(NotFound("no")), b=machine("2026-01-01T00:00:05Z five"), c=refused(Forbidden("no")))
    assert (lines, error) == (["b: 2026-01-01T00:00:05Z five"], None)
    assert of(a=refused(NotFound("no")), b=machine())[1] is None
    assert isinstance(of(a=refused(NotFound("no")), b=refused(NotFound("no")))[1], NotFound)
    assert isinstance(of(a=refused(NotFound("no")), b=refused(BadRequest("bad")))[1], BadRequest)
    assert isinstance(of(a=refused(Forbidden("no")), b=refused(NotFound("bad")))[1], NotFound)


def test_a_machine_that_fails_is_named_where_its_lines_end_and_breaks_the_stream() -> None:
    gone = Unavailable("agent 'a' vanished")
    lines, error = of(
        a=machine("2026-01-01T00:00:05Z five", failure=gone),
        b=machine("2026-01-01T00:00:06Z six", "2026-01-01T00:00:04Z four"),
        c=refused(NotFound("no")),
    )
    assert lines == [
        "b: 2026-01-01T00:00:06Z six",
        "a: 2026-01-01T00:00:05Z five",
        "a: [logriver: agent 'a' vanished; older lines are missing]",
        "b: 2026-01-01T00:00:04Z four",
    ]
    assert isinstance(error, Unavailable)
    assert error.message == "lines of a are missing"


def test_a_machine_that_does_not_answer_does_not_keep_the_others_back() -> None:
    lines, error = of(a=refused(Overloaded("busy")), b=machine("2026-01-01T00:00:04Z four"))
    assert lines == ["a: [logriver: busy; older lines are missing]", "b: 2026-01-01T00:00:04Z four"]
    assert isinstance(error, Unavailable)
    assert isinstance(of(a=refused(Overloaded("busy")), b=refused(NotFound("no")))[1], Overloaded)


def test_an_error_that_nobody_foresaw_is_a_failure_of_its_machine_alone(caplog: pytest.LogCaptureFixture) -> None:
    async def later(lines: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        await asyncio.sleep(0.01)
        async for piece in lines:
            yield piece

    lines, error = of(
        a=refused(OSError("no space")),
        b=later(machine("2026-01-01T00:00:04Z four")),
        c=machine("2026-01-01T00:00:05Z five", failure=OSError("nor here")),
    )
    reason = "[logriver: an internal error, the internal log says which; older lines are missing]"
    assert lines == [
        f"a: {reason}",
        "c: 2026-01-01T00:00:05Z five",
        f"c: {reason}",
        "b: 2026-01-01T00:00:04Z four",
    ]
    assert isinstance(error, Unavailable)
    assert "no space" in caplog.text
    assert "nor here" in caplog.text


def test_a_long_line_is_not_torn_by_another_machine() -> None:
    long = "2026-01-01T00:00:05Z " + "x" * 3_000_000
    lines, _ = of(
        a=machine(long, "2026-01-01T00:00:01Z one", size=100_000),
        b=machine(*(f"2026-01-01T00:00:0{second}Z b" for second in (6, 5, 4))),
    )
    assert [line for line in lines if line.startswith("a: ")] == [f"a: {long}", "a: 2026-01-01T00:00:01Z one"]
    assert len(lines) == 5


def test_what_never_has_a_time_is_held_back_within_bounds() -> None:
    def timeless() -> AsyncGenerator[bytes, None]:
        return machine(*(f"line {number}" for number in range(5000)), size=50_000)

    async def sizes() -> list[int]:
        return [block.text.count(b"\n") async for found in timed.decoded(timeless()) for block in found]

    assert max(asyncio.run(sizes())) == timed.MAX_BLOCK_LINES
    assert of(a=timeless())[0] == [f"a: line {number}" for number in range(5000)]


@given(
    st.lists(
        st.lists(st.one_of(st.integers(0, 59).map("2026-01-01T00:00:{:02}Z x".format), st.just(" no time"))),
        min_size=1,
        max_size=4,
    ),
    st.integers(1, 60),
)
@within_cpu_time
def test_every_line_comes_once_in_its_machine_s_order(files: list[list[str]], size: int) -> None:
    machines = {f"m{number}": machine(*lines, size=size) for number, lines in enumerate(files)}
    got, error = of(**machines)
    assert error is None
    for number, lines in enumerate(files):
        assert [line[4:] for line in got if line.startswith(f"m{number}: ")] == lines
    ordered = [sorted(lines, reverse=True) == lines and " no time" not in lines for lines in files]
    if all(ordered):
        assert [line[4:] for line in got] == sorted((line for lines in files for line in lines), reverse=True)


@pytest.mark.parametrize(
    "sent", [b"short", b"\x00" * 16, b"\xff" * 40, b"\x00" * 8 + b"\x00\x00\x00\x00\x00\x00\x00\x09ab"]
)
def test_what_is_no_block_is_an_error(sent: bytes) -> None:
    assert isinstance(asyncio.run(all_of(merged({"a": in_pieces(sent)}, None)))[1], LogriverError)
