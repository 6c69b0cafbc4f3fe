"""The events of several machines in one stream, from machines that are slow, fail, or say what is no event."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import msgspec
import pytest

from logriver.errors import Forbidden, LogriverError, Overloaded, Unavailable
from logriver.federated.searched import searched
from logriver.files.found_events import End, Event, FileFailed, FoundRow, Progress, line

END = End(100, 2, True)
_HANGS_SECONDS = 20


async def machine(*said: Event | bytes | Exception) -> AsyncGenerator[bytes, None]:
    for one in said:
        if isinstance(one, Exception):
            raise one
        yield one if isinstance(one, bytes) else line(one)
        await asyncio.sleep(0)


def row(time_ns: int) -> FoundRow:
    return FoundRow(msgspec.Raw(json.dumps({"n": time_ns}).encode()), time_ns)


def answer(limit: int = 10, **machines: AsyncGenerator[bytes, None]) -> list[dict[str, Any]]:
    async def collected() -> bytes:
        async with asyncio.timeout(_HANGS_SECONDS):
            return b"".join([piece async for piece in searched(machines, limit)])

    return [json.loads(text) for text in asyncio.run(collected()).splitlines()]


def test_rows_are_marked_and_the_sums_are_of_all() -> None:
    said = answer(a=machine(row(1), Progress("/x", 1, 2), END), b=machine(row(2), END))

    assert [event["row"] for event in said if "row" in event] == [{"n": 1, "_host": "a"}, {"n": 2, "_host": "b"}]
    assert {"progress": {"host": "a", "file": "/x", "bytes": 1, "of": 2}} in said
    assert said[-1] == {"end": {"bytes": 200, "files": 4, "complete": True}}


def test_what_is_older_than_enough_others_is_left_out() -> None:
    said = answer(2, a=machine(row(5), row(4), row(3), row(6), END))

    assert [event["row"]["n"] for event in said if "row" in event] == [5, 4, 6]


def test_pieces_need_not_be_lines() -> None:
    whole = line(row(1)) + line(END)
    said = answer(a=machine(*(whole[at : at + 1] for at in range(len(whole)))))

    assert [list(event) for event in said] == [["row", "time"], ["end"]]


def test_a_file_or_a_machine_that_fails_is_named_and_that_is_not_all() -> None:
    said = answer(a=machine(FileFailed("/x", "forbidden", "no"), END), b=machine(row(1), Unavailable("gone")))

    errors = [event["error"] for event in said if "error" in event]
    assert {"host": "a", "file": "/x", "code": "forbidden", "message": "no"} in errors
    assert [error["host"] for error in errors if error["code"] == "unavailable"] == ["b"]
    assert not said[-1]["end"]["complete"]


def test_a_failure_is_an_event_where_others_answer_and_an_error_where_none_does() -> None:
    said = answer(a=machine(Overloaded("many")), b=machine(row(1), END))
    assert [event["error"]["message"] for event in said if "error" in event] == ["many"]

    with pytest.raises(Forbidden):
        answer(a=machine(Forbidden("not here")))
    with pytest.raises(Overloaded):
        answer(a=machine(Overloaded("many")), b=machine(Overloaded("many")))


def test_a_machine_that_may_not_read_for_the_caller_is_left_out_unless_nobody_is_left() -> None:
    said = answer(a=machine(Forbidden("not here")), b=machine(row(1), END))
    assert [list(event) for event in said] == [["row", "time"], ["end"]]
    assert said[-1]["end"]["complete"]

    with pytest.raises(Forbidden):
        answer(a=machine(Forbidden("not here")), b=machine(Forbidden("nor here")))
    with pytest.raises(Overloaded):
        answer(a=machine(Forbidden("not here")), b=machine(Overloaded("many")))
    begun = answer(a=machine(row(1), Forbidden("not any more")), b=machine(END))
    assert [event["error"]["message"] for event in begun if "error" in event] == ["not any more"]
    assert not begun[-1]["end"]["complete"]


def test_an_error_that_nobody_foresaw_is_told_and_not_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    said = answer(a=machine(row(1), OSError("no space")), b=machine(row(2), END))

    errors = [event["error"] for event in said if "error" in event]
    assert [(error["host"], error["code"]) for error in errors] == [("a", "internal")]
    assert not said[-1]["end"]["complete"]
    assert "no space" in caplog.text
    with pytest.raises(LogriverError, match="an internal error"):
        answer(a=machine(RuntimeError()))


def test_nothing_is_taken_after_the_end_of_a_machine_s_part() -> None:
    said = answer(a=machine(line(END) + line(row(1)) + line(END)), b=machine(row(2), END))

    assert [event["row"]["_host"] for event in said if "row" in event] == ["b"]
    assert said[-1] == {"end": {"bytes": 200, "files": 4, "complete": True}}


def test_what_waits_for_a_client_that_is_slow_is_bounded_in_bytes() -> None:
    """Large events in large pieces: a machine is not read far ahead of who takes them."""
    piece = 4 * line(FoundRow(msgspec.Raw(json.dumps({"n": "x" * 60_000}).encode()), 1))
    given = 0

    async def eager() -> AsyncGenerator[bytes, None]:
        nonlocal given
        while True:
            given += 1
            yield piece
            await asyncio.sleep(0)

    async def read_ahead() -> None:
        async with aclosing(searched({"a": eager()}, 10_000)) as events:
            await anext(events)
            for _ in range(2_000):
                await asyncio.sleep(0)

    asyncio.run(read_ahead())
    assert given * len(piece) < 3_000_000


@pytest.mark.parametrize(
    "said",
    [
        b"no json\n",
        b"\xff\n",
        b"[" * 100_000 + b"\n",
        b'{"type":"row","row":7,"time_ns":1}\n',
        b'{"type":"row","row":{},"time_ns":1e30}\n',
        b'{"type":"progress","file":"x","bytes":-1,"of":0}\n',
        b'{"type":"other"}\n',
        b"",
    ],
)
def test_what_is_no_event_ends_that_machine_s_part(said: bytes) -> None:
    events = answer(a=machine(row(1), said), b=machine(row(2), END))

    assert [event["error"]["host"] for event in events if "error" in event] == ["a"]
    assert {event["row"]["_host"] for event in events if "row" in event} == {"a", "b"}
    assert not events[-1]["end"]["complete"]
