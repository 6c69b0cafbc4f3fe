"""`POST /api/v1/logs`: Logriver's own protocol. JSON in any arrangement, or with `?format=` lines as in a file."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import NamedTuple

import msgspec

from logriver import clock
from logriver.decode.decoder import Decoder, Options, State
from logriver.decode.formats import FORMATS
from logriver.errors import BadBody, BadRequest, LogriverError
from logriver.ingest.answer import refusal
from logriver.ingest.body import BodyLimits
from logriver.ingest.described import ENCODING, json_call, parameter
from logriver.ingest.endpoint import Answer, Outcomes, Request, Route
from logriver.ingest.idempotency import batch_key, checked
from logriver.ingest.line_body import decode_lines, line_options
from logriver.ingest.request_body import RequestBody
from logriver.record import Batch, BatchKey, Decoded

PROTOCOL = "http"
"""The protocol's name, and the `_source` of its records."""
PATH = "/api/v1/logs"

_SHOWN_ERRORS = 100
# Rows of lines of usual length have less than twice their bytes.
_ROWS_TO_BODY = 2
_SEARCHABLE_SECONDS = 10.0

_encode = msgspec.json.Encoder().encode

WaitSearchable = Callable[[int, float], Awaitable[bool]]
"""See `SearchedSink.wait_searchable`."""

_KEY = parameter("Idempotency-Key", "the same key with the same body is stored once", place="header")
_WAIT = parameter("wait", "answer only when the records can be found, or after 10 s", ("searchable",))
_FORMAT = parameter(
    "format", "the body is lines as in a file of this format; `auto`: the format is recognised", ("auto", *FORMATS)
)
_ZONE = parameter("zone", "with `format`: the zone of times that name none, else the server's")
_SERVICE = parameter("service", "with `format`: the service of records that name none")
_MULTILINE = parameter(
    "multiline",
    "with `format`: lines that begin with a space, or as in a stack trace, belong to the one before",
    ("indent",),
)
_POST = json_call(
    "Send logs: an object, an array, NDJSON, objects one after the other, or lines of text",
    {
        "200": "on disk: how many were accepted and rejected, with reasons",
        "400": "nothing was acceptable",
        "422": "the idempotency key came before with another body",
    },
    (_KEY, ENCODING, _WAIT, _FORMAT, _ZONE, _SERVICE, _MULTILINE),
)


class _Options(NamedTuple):
    """What the parameters and headers of a request say of its body."""

    lines: Options | None
    key: str
    meaning: str
    """The parameters as one text: what they make of the body is a part of what the key stands for."""


class Logs:
    """An `Endpoint`."""

    protocol = PROTOCOL
    routes = (Route("POST", PATH, _POST),)

    def __init__(self, limits: BodyLimits, decoder: Decoder, wait_searchable: WaitSearchable) -> None:
        """`decoder` is used by any thread."""
        self._limits = limits
        self._decoder = decoder
        self._wait_searchable = wait_searchable
        self._json = Options("json_body", zone="UTC", max_record_bytes=limits.max_record_bytes)

    async def decode(self, request: Request, body: RequestBody) -> AsyncGenerator[list[Batch], None]:
        """One batch; bad records are refused alone."""
        await body.read()
        _waits(request)
        options = self._options(request)

        def work(data: bytes) -> tuple[Decoded, BatchKey | None]:
            key = batch_key(request.principal, options.key, data, options.meaning) if options.key else None
            return self._decoded(data, options.lines), key

        heavy = bool(options.lines or options.key)
        decoded, key = await body.decode(work, on_thread=heavy)
        yield [Batch(decoded, PROTOCOL, key, rejected=len(decoded.refused))]

    def _decoded(self, data: bytes, lines: Options | None) -> Decoded:
        if lines is None:
            return self._decoder.decode(data, self._json, State(clock.now_ns()))[0]
        return decode_lines(data, self._decoder, lines, _ROWS_TO_BODY * self._limits.max_body_bytes, clock.now_ns())

    def _options(self, request: Request) -> _Options:
        """Raises `BadRequest`."""
        parameters = dict(request.parameters)
        lines = line_options(parameters, self._limits.max_record_bytes)
        key = checked(request.header(b"idempotency-key"))
        meaning = sorted((name, value) for name, value in parameters.items() if name != "wait") if key else []
        return _Options(lines, key, repr(meaning))

    async def answer(self, request: Request, outcomes: Outcomes) -> Answer:
        """How many were accepted and refused, and why; 400 if nothing was acceptable."""
        refused = outcomes.refused
        errors = [{"line": one.line, "reason": one.reason} for one in refused[:_SHOWN_ERRORS]]
        counts: dict[str, object] = {"accepted": outcomes.accepted, "rejected": len(refused), "errors": errors}
        if refused and not outcomes.accepted:
            first = refused[0]
            error = BadBody(f"none of {len(refused)} records is acceptable; line {first.line}: {first.reason}")
            return Answer(400, _encode({"error": error.answer(), **counts}))
        counts["duplicate"] = outcomes.duplicate
        if _waits(request):
            counts["searchable"] = await self._wait_searchable(outcomes.last_seq, _SEARCHABLE_SECONDS)
        return Answer(200, _encode(counts))

    def refuse(self, request: Request, error: LogriverError) -> Answer:
        """The error as all of Logriver's own calls give it."""
        return Answer(*refusal(error))


def _waits(request: Request) -> bool:
    """Whether the answer has to wait. Raises `BadRequest` for another `wait`, whose sender would think that it did."""
    if not request.parameters:
        return False
    waits = [value for name, value in request.parameters if name == "wait"]
    for value in waits:
        if value != "searchable":
            raise BadRequest(f"parameter 'wait' is 'searchable', not {value[:60]!r}")
    return bool(waits)
