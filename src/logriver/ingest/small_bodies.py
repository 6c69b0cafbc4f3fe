"""Small bodies of many requests, taken together: all that come in one turn of the event loop.

Decoding, the log and the answers cost much less for fifty records at a time than for fifty times one. Each body stays a
request of its own: what is not one plain record is left to the slow path, alone, and so is each when the sink refuses.
"""

import asyncio
import contextlib
import logging
from dataclasses import replace
from functools import partial

from logriver import clock, metrics
from logriver.decode.decoder import Decoder, Options, State
from logriver.errors import LogriverError
from logriver.ingest.body import BodyLimits, Scope
from logriver.ingest.endpoints.logs import PATH, PROTOCOL
from logriver.ingest.fast_path import OnTaken, Take
from logriver.ingest.request_body import SMALL_BODY_BYTES
from logriver.record import Batch, Decoded, Receipt, Sink
from logriver.threads import Owner

# What waits here is not counted against any limit yet, and the event loop must get on.
_MOST_TOGETHER = 256
# What says more of the body than that it is as it is.
_SLOW_PATH_HEADERS = frozenset({b"content-encoding", b"transfer-encoding", b"idempotency-key", b"expect"})

_Waiting = tuple[bytes, OnTaken]

_accepted = metrics.accepted.labels(protocol=PROTOCOL)
log = logging.getLogger(__name__)


class SmallBodies:
    """Takes bodies for `FastPathProtocol`. On one event loop."""

    def __init__(self, sink: Sink, limits: BodyLimits, decoder: Decoder) -> None:
        self._sink = sink
        self._decoder = decoder
        self._lines = Options("json", zone="UTC", max_record_bytes=limits.max_record_bytes)
        self._body = replace(self._lines, format="json_body")
        self._max_body_bytes = min(SMALL_BODY_BYTES, limits.max_body_bytes)
        self._waiting: list[_Waiting] | None = None
        self._event_loop = Owner("taking small bodies")

    def fast_path(self, scope: Scope) -> Take | None:
        """How the bodies of plain `POST /api/v1/logs` are taken; None for other requests."""
        if scope["path"] != PATH or scope["method"] != "POST" or scope["query_string"]:
            return None
        if any(name in _SLOW_PATH_HEADERS for name, _ in scope["headers"]):
            return None
        return self.take

    def take(self, body: bytes, answer: OnTaken) -> None:
        """See `fast_path.Take`."""
        if len(body) > self._max_body_bytes:
            answer(False)
            return
        if self._waiting is None:
            waiting: list[_Waiting] = []
            asyncio.get_running_loop().call_soon(self._put)
            self._waiting = waiting
        self._waiting.append((body, answer))
        if len(self._waiting) == _MOST_TOGETHER:
            self._put()

    def _put(self) -> None:
        """Put what waits. Every answer is given, whatever fails, if only for want of memory."""
        waiting, self._waiting = self._waiting, None
        if waiting is None:
            return
        try:
            self._event_loop.check()
            rows = self._rows([body for body, _ in waiting])
            good = [answer for (_, answer), row in zip(waiting, rows, strict=True) if row]
            others = [answer for (_, answer), row in zip(waiting, rows, strict=True) if not row]
            batch = Batch(Decoded(b"".join(rows), len(good)), PROTOCOL, apart=True)
        except Exception as error:  # noqa: BLE001
            _log("small bodies could not be decoded together", error)
            _answer_all([answer for _, answer in waiting], False)
            return
        try:
            if good:
                asyncio.ensure_future(self._sink.put(batch)).add_done_callback(partial(_put_ended, good))
        except Exception as error:  # noqa: BLE001
            # It may have begun.
            _log("small bodies could not be put", error)
            _answer_all(good, None)
        _answer_all(others, False)

    def _rows(self, bodies: list[bytes]) -> list[bytes]:
        """The row of each body, empty if it is not one plain record."""
        state = State(clock.now_ns())
        together = b"\n".join(bodies)
        if together.count(b"\n") == len(bodies) - 1:
            decoded, _ = self._decoder.decode(together, self._lines, state)
            if decoded.count == len(bodies):
                return [row + b"\n" for row in decoded.rows.split(b"\n")[:-1]]
        return [self._row(body, state) for body in bodies]

    def _row(self, body: bytes, state: State) -> bytes:
        try:
            decoded, _ = self._decoder.decode(body, self._body, state)
        except LogriverError:
            return b""
        return decoded.rows if decoded.count == 1 and not decoded.refused else b""


def _put_ended(answers: list[OnTaken], receipt: "asyncio.Future[Receipt]") -> None:
    kept = None
    try:
        if not receipt.cancelled():
            error = receipt.exception()
            # Any other error may have come when they were on disk.
            kept = True if error is None else False if isinstance(error, LogriverError) else None
    except Exception as error:  # noqa: BLE001
        _log("what became of small bodies is not known", error)
    _answer_all(answers, kept)
    if kept:
        _accepted.inc(len(answers))


def _answer_all(answers: list[OnTaken], kept: bool | None) -> None:
    for answer in answers:
        try:
            answer(kept)
        except Exception as error:  # noqa: BLE001
            _log("a small body could not be answered", error)


def _log(message: str, error: Exception) -> None:
    with contextlib.suppress(Exception):
        log.error(message, exc_info=error)
