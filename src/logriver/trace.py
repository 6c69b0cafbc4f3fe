"""Traces by the W3C's Trace Context: which caller's request a call, here or on another machine, is a part of."""

import re
import secrets
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Trace:
    """What the internal log lines of one request have in common, by the W3C's Trace Context.

    `span_id` is of this process's part of the request, `parent_id` of the caller's, empty if the trace began here.
    """

    trace_id: str
    span_id: str
    parent_id: str = ""
    sampled: bool = True

    @property
    def traceparent(self) -> str:
        """The header for calls that this request makes, and for its answer."""
        return f"00-{self.trace_id}-{self.span_id}-{self.sampled:02x}"


_trace: ContextVar[Trace | None] = ContextVar("trace", default=None)
# A later version may have more behind a further dash; 00 may not.
_TRACEPARENT = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


def begin_trace(traceparent: str = "") -> Trace:
    """Continue the trace of a caller's header, or begin one where there is none or it is not valid.

    The rest of this task, and the threads and tasks that it starts with a copy of its context, belong to it.
    """
    found = _TRACEPARENT.fullmatch(traceparent)
    span_id = secrets.token_hex(8)
    if found is None or (found[1] == "00" and found[5] is not None):
        trace = Trace(secrets.token_hex(16), span_id)
    else:
        trace = Trace(found[2], span_id, found[3], bool(int(found[4], 16) & 1))
    _trace.set(trace)
    return trace


def current_trace() -> Trace | None:
    """The trace that what runs here belongs to."""
    return _trace.get()


def outgoing_traceparent() -> str | None:
    """The header `traceparent` for a call to another process; None where no request is being answered."""
    trace = _trace.get()
    return trace.traceparent if trace is not None else None
