"""The ways in over HTTP, as plain ASGI: body to batch to sink to answer.

`POST /api/v1/logs` is our own. `POST /` (log ingestor) and `POST /logs/ingest/` (LogIngestor) are the calls of two
earlier systems, whose users must not notice a difference. Small bodies are decoded where they arrive; large ones on a
thread of their own, so that the event loop answers others meanwhile.
"""

import asyncio
import hashlib
import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qsl

import msgspec

from logriver import clock, metrics
from logriver.decode.json.body import decode_body
from logriver.decode.json.lines import JsonLines
from logriver.errors import BadBody, BadRequest, LogriverError
from logriver.identity import Principal, principal_of
from logriver.ingest import earlier
from logriver.ingest.answer import Headers, Send, refusal, retry_after, send_answer
from logriver.ingest.body import BodyLimits, ClientGone, Receive, Scope, header, read_body
from logriver.ingest.decompress import inflate
from logriver.ingest.fast_path import Take
from logriver.ingest.line_body import decode_lines, line_rules
from logriver.ingest.memory_budget import Reservation
from logriver.ingest.small_bodies import SmallBodies
from logriver.record import Batch, BatchKey, Decoded, Receipt, SearchedSink

_SMALL_BODY_BYTES = 16 * 1024
_LONG_WAY_HEADERS = frozenset({b"content-encoding", b"transfer-encoding", b"idempotency-key", b"expect"})
_SHOWN_ERRORS = 100
# Rows of lines of usual length have less than twice their bytes.
_ROWS_TO_BODY = 2
_MAX_KEY_LENGTH = 256
_SEARCHABLE_SECONDS = 10.0

_encode = msgspec.json.Encoder().encode
_accepted = metrics.accepted.labels(way="http")
_rejected = metrics.rejected.labels(way="http")
log = logging.getLogger(__name__)


class Receiver:
    """An ASGI application for the three calls in `PATHS`."""

    PATHS = ("/api/v1/logs", "/", "/logs/ingest/", "/logs/ingest")

    def __init__(self, sink: SearchedSink, limits: BodyLimits) -> None:
        self._sink = sink
        self._limits = limits
        self._here = JsonLines(limits.max_record_bytes)
        self._elsewhere = JsonLines(limits.max_record_bytes)
        self._small_bodies = SmallBodies(sink, self._here, min(_SMALL_BODY_BYTES, limits.max_body_bytes))
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="decode")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whatever it brings."""
        path = scope["path"]
        with Reservation(self._limits.inflight) as reservation:
            try:
                body = await read_body(scope, receive, reservation, self._limits)
                if path == "/api/v1/logs":
                    status, answer = await self._logs(scope, body, reservation)
                else:
                    status, answer = await self._earlier(scope, body, reservation)
                headers = _NO_HEADERS
            except ClientGone:
                return
            except LogriverError as error:
                status, answer, headers = _refusal(path, error)
            except Exception:
                log.exception("request failed")
                status, answer, headers = _refusal(path, LogriverError("something went wrong in the server"))
        await send_answer(send, status, answer, headers)

    def short_way(self, scope: Scope) -> Take | None:
        """How the small bodies of plain `POST /api/v1/logs` are taken (see `short_way.py`); None for other requests."""
        if scope["path"] != "/api/v1/logs" or scope["method"] != "POST" or scope["query_string"]:
            return None
        if any(name in _LONG_WAY_HEADERS for name, _ in scope["headers"]):
            return None
        return self._small_bodies.take

    async def _logs(self, scope: Scope, body: bytes, reservation: Reservation) -> tuple[int, bytes]:
        parameters = parse_qsl(scope["query_string"].decode("latin-1"))
        waits = _waits(parameters)
        decoded, key = await self._decode(scope, body, reservation, dict(parameters))
        rejected = len(decoded.refused)
        if not decoded.count and rejected:
            _rejected.inc(rejected)
            first = decoded.refused[0]
            error = BadBody(f"none of {rejected} records is acceptable; line {first.line}: {first.reason}")
            return 400, _encode({"error": error.answer(), **_counts(0, decoded)})
        receipt = Receipt(0)
        if decoded.count:
            receipt = await self._sink.put(Batch(decoded, "http", key, rejected=rejected))
        _count(receipt)
        answer = _counts(receipt.accepted, decoded) | {"duplicate": receipt.duplicate}
        if waits:
            answer["searchable"] = await self._sink.wait_searchable(receipt.last_seq, _SEARCHABLE_SECONDS)
        return 200, _encode(answer)

    async def _decode(
        self, scope: Scope, body: bytes, reservation: Reservation, parameters: Mapping[str, str]
    ) -> tuple[Decoded, BatchKey | None]:
        lines = line_rules(parameters)
        encoding, key_text = header(scope, b"content-encoding").lower(), header(scope, b"idempotency-key")
        if len(key_text) > _MAX_KEY_LENGTH:
            raise BadRequest(f"the idempotency key is longer than {_MAX_KEY_LENGTH} characters")
        if len(body) <= _SMALL_BODY_BYTES and not encoding and not key_text and not lines:
            return decode_body(body, self._here, clock.now_ns()), None

        def work() -> tuple[Decoded, BatchKey | None]:
            inflated = inflate(
                body, encoding, self._limits.max_body_bytes, lambda size: reservation.grow_to(len(body) + size)
            )
            key = _batch_key(principal_of(scope), key_text, inflated, parameters) if key_text else None
            if lines:
                limits = self._limits
                most = _ROWS_TO_BODY * limits.max_body_bytes
                return decode_lines(inflated, lines, limits.max_record_bytes, most, clock.now_ns()), key
            return decode_body(inflated, self._elsewhere, clock.now_ns()), key

        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def _earlier(self, scope: Scope, body: bytes, reservation: Reservation) -> tuple[int, bytes]:
        """The calls of the earlier systems: all or nothing."""
        encoding = header(scope, b"content-encoding").lower()
        loop = asyncio.get_running_loop()

        def work() -> tuple[object, Decoded]:
            inflated = inflate(
                body, encoding, self._limits.max_body_bytes, lambda size: reservation.grow_to(len(body) + size)
            )
            is_ingestor = scope["path"] == "/"
            problems = earlier.problems(inflated) if is_ingestor else None
            decoded = Decoded() if problems else decode_body(inflated, self._elsewhere, clock.now_ns())
            return problems, decoded

        problems, decoded = await loop.run_in_executor(self._thread, work)
        if problems:
            return 400, _encode(problems)
        if decoded.refused:
            first = decoded.refused[0]
            raise BadBody(f"record {first.line}: {first.reason}; nothing was stored")
        receipt = await self._sink.put(Batch(decoded, "http")) if decoded.count else Receipt(0)
        _count(receipt)
        return 200, earlier.ACCEPTED if scope["path"] == "/" else earlier.UPDATED


_NO_HEADERS: Headers = []


def _waits(parameters: list[tuple[str, str]]) -> bool:
    """Whether the answer has to wait. Raises `BadRequest` for another `wait`, whose sender would think that it did."""
    waits = [value for name, value in parameters if name == "wait"]
    for value in waits:
        if value != "searchable":
            raise BadRequest(f"parameter 'wait' is 'searchable', not {value[:60]!r}")
    return bool(waits)


def _batch_key(principal: Principal, text: str, body: bytes, parameters: Mapping[str, str]) -> BatchKey:
    """Within the principal, so that two senders cannot meet in a key.

    What the parameters make of the body is a part of it.
    """
    scope = hashlib.blake2b(text.encode("latin-1"), digest_size=16, key=principal.key_scope).digest()
    meaning = repr(sorted((name, value) for name, value in parameters.items() if name != "wait"))
    content = hashlib.blake2b(meaning.encode(errors="surrogatepass"), digest_size=16)
    content.update(body)
    return BatchKey(scope, content.digest())


def _counts(accepted: int, decoded: Decoded) -> dict[str, object]:
    errors = [{"line": refused.line, "reason": refused.reason} for refused in decoded.refused[:_SHOWN_ERRORS]]
    return {"accepted": accepted, "rejected": len(decoded.refused), "errors": errors}


def _count(receipt: Receipt) -> None:
    if not receipt.duplicate:
        _accepted.inc(receipt.accepted)
        if receipt.rejected:
            _rejected.inc(receipt.rejected)


def _refusal(path: str, error: LogriverError) -> tuple[int, bytes, Headers]:
    if path.startswith("/logs/ingest"):
        return error.status, _encode({"status": False, "message": error.message}), retry_after(error)
    return refusal(error)
