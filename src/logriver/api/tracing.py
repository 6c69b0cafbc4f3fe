"""Each call belongs to a trace, and a call that asks something leaves one line in the internal log.

The trace is the caller's (`traceparent`, W3C Trace Context) or a new one; the answer names it in the same header. The
line has no search text: that is its user's business, and a path and a time are enough to find out what was slow.
"""

import logging
from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from logriver import clock
from logriver.trace import Trace, begin_trace

_CALLS = ("/api/v1/", "/customers/", "/fetch_logs", "/levels", "/resources", "/init_filter", "/logs")
# Asked again and again by whoever watches.
_POLLED = frozenset(("/api/v1/status", "/api/v1/sources", "/api/v1/agents"))
_SLOW_SECONDS = 1.0
_MAX_PATH_LENGTH = 200
# Its client went away before there was an answer; nginx's number for that.
_CLIENT_GONE = 499

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Call:
    """What is known of a call, for its line."""

    started: float
    status: int = _CLIENT_GONE
    answered: float | None = None
    rows: int | None = None


_call: ContextVar[_Call | None] = ContextVar("call", default=None)


def note_rows(rows: Sequence[object]) -> None:
    """Say how many rows the answer of the current call has."""
    if call := _call.get():
        call.rows = len(rows)


def join_trace(headers: Iterable[tuple[bytes, bytes]]) -> None:
    """For ingest endpoints, which log nothing unless something fails: the caller's trace, if there is one."""
    if traceparent := _traceparent(headers):
        begin_trace(traceparent)


def _traceparent(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The caller's header; empty where there is none, or more than one."""
    given = [value for name, value in headers if name == b"traceparent"]
    return given[0].decode("latin-1") if len(given) == 1 else ""


class Tracing:
    """Around the whole application, so that its errors belong to the trace too."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One call, as ASGI has it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        trace = begin_trace(_traceparent(scope["headers"]))
        call = _Call(clock.monotonic())
        _call.set(call)

        async def send_with_trace(message: Message) -> None:
            if message["type"] == "http.response.start":
                call.status, call.answered = message["status"], clock.monotonic()
                message["headers"] = [*message.get("headers", ()), (b"traceparent", trace.traceparent.encode())]
            await send(message)

        try:
            await self._app(scope, receive, send_with_trace)
        finally:
            if scope["path"].startswith(_CALLS) and scope["path"] not in _POLLED:
                _log(scope, call, trace)


def _log(scope: Scope, call: _Call, trace: Trace) -> None:
    """The line. A stream is slow if its beginning was; how long its client then took is no sign of anything."""
    ended = clock.monotonic()
    method, path = scope["method"], scope["path"][:_MAX_PATH_LENGTH]
    elapsed_ms = round(1000 * (ended - call.started), 3)
    fields: dict[str, object] = {"method": method, "path": path, "status": call.status, "elapsed_ms": elapsed_ms}
    if call.rows is not None:
        fields["rows"] = call.rows
    if trace.parent_id:
        fields["parent_span_id"] = trace.parent_id
    is_slow = (call.answered or ended) - call.started > _SLOW_SECONDS
    level = logging.WARNING if is_slow or call.status >= 500 else logging.INFO
    log.log(level, "%s %s %d", method, path, call.status, extra={"fields": fields})
