"""The calls by which two earlier systems sent records, as ingest endpoints. Both are all or nothing.

`POST /` was the log ingestor's, `POST /logs/ingest/` LogIngestor's.
"""

from collections.abc import AsyncGenerator

import msgspec

from logriver import clock
from logriver.compat.error_shapes import logs_error
from logriver.compat.field_problems import Problems, problems
from logriver.decode.decoder import Decoder, Options, State
from logriver.errors import BadBody, LogriverError
from logriver.ingest.answer import refusal, retry_after
from logriver.ingest.body import BodyLimits
from logriver.ingest.described import json_call
from logriver.ingest.endpoint import Answer, Outcomes, Request, Route
from logriver.ingest.endpoints.logs import PROTOCOL
from logriver.ingest.request_body import RequestBody
from logriver.record import Batch, Decoded

_ROOT_POST = json_call(
    "Send logs, all or nothing, as the log ingestor took them", {"200": "on disk", "400": "reasons for each field"}
)
_LOGS_INGEST_POST = json_call("Send logs as LogIngestor took them", {"200": "on disk", "400": "nothing was acceptable"})

_encode = msgspec.json.Encoder().encode


class _AllOrNothing:
    """Decodes bodies all of whose records are acceptable; `decoder` is used by any thread."""

    def __init__(self, limits: BodyLimits, decoder: Decoder) -> None:
        self._decoder = decoder
        self._options = Options("json_body", zone="UTC", max_record_bytes=limits.max_record_bytes)

    def decode(self, body: bytes) -> Decoded:
        """The rows of a body. Raises `BadBody` if any record is refused."""
        decoded, _ = self._decoder.decode(body, self._options, State(clock.now_ns()))
        if decoded.refused:
            first = decoded.refused[0]
            raise BadBody(f"record {first.line}: {first.reason}; nothing was stored")
        return decoded


class _BadFields(BadBody):
    """Records whose fields are not what the log ingestor took; `problems` is its answer."""

    def __init__(self, problems: Problems | list[Problems]) -> None:
        super().__init__("a field of a record is not acceptable")
        self.problems = problems


class RootIngest:
    """An `Endpoint`: `POST /`."""

    protocol = PROTOCOL
    routes = (Route("POST", "/", _ROOT_POST),)

    def __init__(self, limits: BodyLimits, decoder: Decoder) -> None:
        self._body = _AllOrNothing(limits, decoder)

    async def decode(self, request: Request, body: RequestBody) -> AsyncGenerator[list[Batch], None]:
        """One batch, if each record has the fields that it must have."""

        def work(data: bytes) -> Decoded:
            if found := problems(data):
                raise _BadFields(found)
            return self._body.decode(data)

        yield [Batch(await body.decode(work), PROTOCOL)]

    async def answer(self, request: Request, outcomes: Outcomes) -> Answer:
        """What it said."""
        return Answer(200, b'{"message":"logs enqueued for ingestion"}')

    def refuse(self, request: Request, error: LogriverError) -> Answer:
        """The problems of fields as it said them, all else as Logriver does."""
        return Answer(400, _encode(error.problems)) if isinstance(error, _BadFields) else Answer(*refusal(error))


class LogsIngest:
    """An `Endpoint`: `POST /logs/ingest/`, with or without the last slash."""

    protocol = PROTOCOL
    routes = (Route("POST", "/logs/ingest/", _LOGS_INGEST_POST), Route("POST", "/logs/ingest"))

    def __init__(self, limits: BodyLimits, decoder: Decoder) -> None:
        self._body = _AllOrNothing(limits, decoder)

    async def decode(self, request: Request, body: RequestBody) -> AsyncGenerator[list[Batch], None]:
        """One batch, if all records are acceptable."""
        yield [Batch(await body.decode(self._body.decode), PROTOCOL)]

    async def answer(self, request: Request, outcomes: Outcomes) -> Answer:
        """What it said."""
        return Answer(200, b'{"status":true,"message":"Data updated"}')

    def refuse(self, request: Request, error: LogriverError) -> Answer:
        """The error in its shape."""
        body = _encode(logs_error(error.message))
        return Answer(error.status, body, retry_after(error))
