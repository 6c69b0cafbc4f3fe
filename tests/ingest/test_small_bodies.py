"""Whatever fails while small bodies are taken together, each is answered once, and nothing is stored twice."""

import asyncio
import itertools
import sys
from collections.abc import Awaitable, Callable
from types import FrameType

import pytest

from logriver.decode.reference import ReferenceDecoder
from logriver.errors import Unavailable
from logriver.ingest import small_bodies
from logriver.ingest.body import BodyLimits
from logriver.ingest.memory_budget import MemoryBudget
from logriver.ingest.small_bodies import SmallBodies
from logriver.record import Batch, Known, Receipt

LIMITS = BodyLimits(MemoryBudget(10**9), 10**6, 10**6)
BODIES = [b'{"message":"one"}', b"not JSON", b'{"message":"two"}', b'{"a":1}{"a":2}', b'{"message":"three"}']
GOOD = {0, 2, 4}


class FaultyCall:
    """Has the `number`th call that is made in `small_bodies.py` want memory that is not there."""

    def __init__(self, number: int) -> None:
        self._left = number
        self.was_answer = self.met = False

    def __call__(self, frame: FrameType, event: str, argument: object) -> None:
        caller = frame if event == "c_call" else frame.f_back if event == "call" else None
        if caller is None or caller.f_code.co_filename != small_bodies.__file__:
            return
        # The last resort.
        if frame.f_code.co_name in ("_log", "_answer_all"):
            return
        if self._left == 0:
            self.met, self.was_answer = True, frame.f_code.co_name == "answer"
            sys.setprofile(None)
            raise MemoryError
        self._left -= 1


class Sink:
    """Keeps batches, or ends each put with an error."""

    def __init__(self, error: BaseException | None = None, *, keeps: bool = True) -> None:
        self.kept: list[Batch] = []
        self._error = error
        self._keeps = keeps

    def put(self, batch: Batch) -> Awaitable[Receipt]:
        answer = asyncio.get_running_loop().create_future()
        if self._keeps:
            self.kept.append(batch)
        if self._error is None:
            answer.set_result(Receipt(batch.decoded.count, 0, 1))
        else:
            answer.set_exception(self._error)
        return answer

    async def known(self, follower: str) -> Known:
        return Known()


def answers(sink: Sink, fault: FaultyCall | None = None) -> list[list[bool | None]]:
    """What each of the bodies is answered, of which all come in one turn of the event loop."""
    found: list[list[bool | None]] = [[] for _ in BODIES]

    def answering(place: int) -> Callable[[bool | None], None]:
        def answer(kept: bool | None) -> None:
            found[place].append(kept)

        return answer

    async def run() -> None:
        bodies = SmallBodies(sink, LIMITS, ReferenceDecoder())
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        for place, body in enumerate(BODIES):
            bodies.take(body, answering(place))
        if fault:
            sys.setprofile(fault)
        try:
            for _ in range(5):
                await asyncio.sleep(0)
        finally:
            sys.setprofile(None)

    asyncio.run(run())
    return found


def test_good_bodies_are_kept_and_others_are_left_to_the_slow_path() -> None:
    sink = Sink()
    assert answers(sink) == [[place in GOOD] for place in range(len(BODIES))]
    assert [batch.decoded.count for batch in sink.kept] == [len(GOOD)]


def test_wherever_memory_runs_out_each_body_is_answered_once() -> None:
    for number in itertools.count():
        sink, fault = Sink(), FaultyCall(number)
        found = answers(sink, fault)
        if not fault.met:
            break
        missing = [place for place, answer in enumerate(found) if not answer]
        # A connection that cannot be given its answer is ended by itself.
        assert len(missing) <= fault.was_answer, number
        assert all(len(answer) <= 1 for answer in found), number
        # False has it tried again on the slow path.
        again = [place for place in GOOD if False in found[place]]
        assert not (sink.kept and again), number
        assert all(sink.kept for answer in found if answer == [True]), number
    assert number > 20


@pytest.mark.parametrize(
    ("error", "answer"), [(Unavailable("the log could not be written"), False), (MemoryError(), None)]
)
def test_what_may_be_on_disk_is_not_tried_again(error: Exception, answer: bool | None) -> None:
    found = answers(Sink(error, keeps=answer is None))
    assert found == [[answer if place in GOOD else False] for place in range(len(BODIES))]
