"""`/api/v1/ranges`: the server's end of an agent's sink. Batches with their range of a file, and the ledger.

`POST` puts a batch as a follower of our own would, and answers when it is on disk: 409 says where to go on.
`GET ?follower=NAME&format=N` is the ledger for that follower, in a format that it reads. `decode/wire/ranges.py` has
the formats.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable

import msgspec

from logriver.decode.row_check import RowCheck
from logriver.decode.wire import ranges
from logriver.errors import BadRequest, LogriverError
from logriver.ingest.answer import refusal
from logriver.ingest.body import BodyLimits
from logriver.ingest.described import ENCODING, REFUSALS, responses
from logriver.ingest.endpoint import Answer, Outcomes, Request, Route
from logriver.ingest.request_body import RequestBody
from logriver.record import Batch, Known

PATH = "/api/v1/ranges"

AskKnown = Callable[[str], Awaitable[Known]]
"""See `Sink.known`."""

_MAX_DIGITS = 10

_MESSAGE = {ranges.CONTENT_TYPE: {"schema": {"type": "string", "format": "binary"}}}
_GET = {
    "tags": ["agents"],
    "summary": "For agents: what is committed of each file that a follower has seen",
    "parameters": [
        {"name": "follower", "in": "query", "required": True, "schema": {"type": "string"}},
        {"name": "format", "in": "query", "required": False, "schema": {"type": "integer", "minimum": 1}},
    ],
    "responses": {"200": {"description": "the ledger", "content": _MESSAGE}},
}
_POST = {
    "tags": ["agents"],
    "summary": "For agents: store the lines of a range of a file",
    "parameters": [ENCODING],
    "requestBody": {"required": True, "content": _MESSAGE},
    "responses": responses(
        {
            "200": "on disk: the receipt",
            "400": "not a batch of a format that is known here, or a row that cannot be",
            "409": "the range does not begin where what is committed ends; the answer says where that is",
            **REFUSALS,
        }
    ),
}


class _Checks(threading.local):
    """A check for each thread: it has a parser of its own."""

    def __init__(self, max_record_bytes: int) -> None:
        self.rows = RowCheck(max_record_bytes)


class Ranges:
    """An `Endpoint`."""

    protocol = "agent"
    routes = (Route("GET", PATH, _GET), Route("POST", PATH, _POST))

    def __init__(self, limits: BodyLimits, known: AskKnown) -> None:
        self._checks = _Checks(limits.max_record_bytes)
        self._known = known

    async def decode(self, request: Request, body: RequestBody) -> AsyncGenerator[list[Batch], None]:
        """The batch that the agent made."""
        if request.route.method == "GET":
            return

        def work(data: bytes) -> Batch:
            # The rows are there twice for a moment: in the body, and cut out of it.
            body.reserve(len(data))
            return ranges.decode_batch(data, self._checks.rows)

        yield [await body.decode(work)]

    async def answer(self, request: Request, outcomes: Outcomes) -> Answer:
        """The receipt, or the ledger."""
        if request.route.method == "GET":
            return await self._ledger(request)
        return Answer(200, msgspec.json.encode(outcomes.batches[0].receipt))

    async def _ledger(self, request: Request) -> Answer:
        names = [value for name, value in request.parameters if name == "follower"]
        if len(names) != 1:
            raise BadRequest("a parameter 'follower' is needed, once")
        # The first agents did not say what they know.
        asked = next((value for name, value in request.parameters if name == "format"), "1")
        if not (asked.isascii() and asked.isdigit() and len(asked) < _MAX_DIGITS and int(asked)):
            raise BadRequest(f"parameter 'format' is a number from 1 on, not {asked[:60]!r}")
        known = await self._known(names[0])
        ledger = await asyncio.to_thread(ranges.encode_known, known, min(int(asked), ranges.FORMAT))
        return Answer(200, ledger, content_type=ranges.CONTENT_TYPE.encode())

    def refuse(self, request: Request, error: LogriverError) -> Answer:
        """The error, with where to go on where it knows that."""
        return Answer(*refusal(error))
