"""The fast path of one small record: a request whose head the connection has sent before is not parsed again.

Who sends one record at a time is bound by the price of a request, and most of that is parsing its head and what ASGI
asks for: a scope, a task, a receive, a send. A client sends the same head each time, but for the digits of its
content-length. So each connection remembers the last head that came by the slow path, through the parser and access
control, and belongs to a plain `POST /api/v1/logs`: with its principal, and the generation of authentication that let
it in. A later chunk that is the same head and a whole body, of the same generation, goes to the sink as it is; anything
else, and whatever goes wrong, is an ordinary ASGI request of uvicorn's protocol, whose version is pinned for this.
`tests/ingest/test_fast_path.py` compares both paths.
"""

import hmac
import logging
import re
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from logriver.errors import LogriverError
from logriver.identity import Principal
from logriver.ingest.http_protocol import HttpProtocol

OnTaken = Callable[[bool | None], None]
"""To be called once: with True when the record is on disk, with False if nothing of it was kept, else with None."""

Take = Callable[[bytes, OnTaken], None]
"""Puts a body into the sink; whatever is not one plain record is not kept. Where it raises it need not answer."""

_MOST_HEAD_BYTES = 4096
_equal = hmac.compare_digest
_LENGTH = re.compile(rb"\r\n[Cc]ontent-[Ll]ength: (\d{1,5})\r\n")
_MOST_DIGITS = 5
log = logging.getLogger(__name__)

ONE_ACCEPTED = b'{"accepted":1,"rejected":0,"errors":[],"duplicate":false}'
_ANSWER_END = b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(ONE_ACCEPTED), ONE_ACCEPTED)


_last_headers: list[tuple[bytes, bytes]] = []
_last_lines = b""


class Remembered(NamedTuple):
    """How requests with one head are taken, whose they are, and the generation of authentication that decided it."""

    take: Take
    principal: Principal
    generation: int


class HasFastPath(Protocol):
    """What the application must have beside being one."""

    @property
    def generation(self) -> int:
        """Changes when a token or what is trusted does: what was remembered before is void."""
        ...

    def fast_path(self, scope: Any) -> Remembered | None:
        """How a request with this scope and all with the same head are taken; None if they must take the slow path."""
        ...


class FastPathProtocol(HttpProtocol):
    """The HTTP protocol with the fast path; its application is a `HasFastPath`."""

    # What stands around the digits of content-length in the head that is remembered, and how its bodies are taken.
    _before = b""
    _behind = b""
    _remembered: Remembered | None = None
    # A request on the fast path.
    _request = b""
    _stopping = False
    _answered_at = 0.0
    # What came while nothing was under way.
    _chunk = b""

    def data_received(self, data: bytes) -> None:
        """Bytes from the client."""
        if self._request:
            # Answers leave in the order of their requests.
            self._later += data
            self.flow.pause_reading()
            return
        cycle = self.cycle
        if (
            not self._in_body
            and self._head is None
            and (cycle is None or cycle.response_complete)
            and not self.flow.write_paused
            and not self._leaving
        ):
            body = self._known_body(data)
            if body and self._remembered is not None:
                self._request = data
                try:
                    self._remembered.take(body, self._answer)
                except Exception:
                    log.exception("a small body could not be taken")
                    self._answer(None)
                return
            self._chunk = data
        super().data_received(data)
        self._chunk = b""

    def _known_body(self, data: bytes) -> bytes:
        """The body of what is one whole request with the remembered head; empty for anything else."""
        remembered = self._remembered
        if remembered is None or remembered.generation != self.app.generation:
            return b""
        start, behind = len(self._before), self._behind
        end = data.find(b"\r\n", start, start + _MOST_DIGITS + 2)
        # A head may hold a token: how far another one agrees with it must not show in how long the comparison takes.
        if end < 0 or not _equal(data[:start], self._before) or not _equal(data[end : end + len(behind)], behind):
            return b""
        digits, body = data[start:end], data[end + len(behind) :]
        return body if digits.isdigit() and int(digits) == len(body) else b""

    def _answer(self, kept: bool | None) -> None:
        request, self._request = self._request, b""
        if not request or self.transport.is_closing():
            return
        try:
            self._give_answer(request, kept)
        except BaseException:
            # Who waits for an answer that will not come hears that at least.
            self.transport.abort()
            raise

    def _give_answer(self, request: bytes, kept: bool | None) -> None:
        if kept:
            self._accept()
        elif kept is None:
            # To try again could store it twice.
            self.refuse(LogriverError("something went wrong in the server"))
        else:
            # The slow path tries again and words the error.
            super().data_received(request)
        if self._stopping:
            super().shutdown()
        elif kept and (self._later or self._half_closed):
            later, self._later = self._later, b""
            self.flow.resume_reading()
            if later:
                self.data_received(later)
            self._go_on()

    def _accept(self) -> None:
        head = _lines(self.server_state.default_headers)
        if self._stopping:
            head += b"connection: close\r\n"
        self.transport.write(b"HTTP/1.1 200 OK\r\n%b%b" % (head, _ANSWER_END))
        self.server_state.total_requests += 1
        self._answered_at = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._keep_alive(self.timeout_keep_alive)

    # Uvicorn starts its keep-alive timer anew with each request. One that looks, when it ends, whether there was
    # something meanwhile costs the fast path nothing.

    def timeout_keep_alive_handler(self) -> None:
        """The timer has ended."""
        rest = self._answered_at + self.timeout_keep_alive - self.loop.time()
        if self._request:
            self._keep_alive(self.timeout_keep_alive)
        elif rest > 0:
            self._keep_alive(rest)
        else:
            super().timeout_keep_alive_handler()

    def _keep_alive(self, seconds: float) -> None:
        if not self.transport.is_closing():
            self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def shutdown(self) -> None:
        """The server stops: close, after the answer that is due."""
        if self._request:
            self._stopping = True
        else:
            super().shutdown()

    # The slow path, watched for a head to remember.

    def _answers(self) -> bool:
        return bool(self._request) or super()._answers()

    def on_message_complete(self) -> None:
        """The parser has all of a request."""
        is_request = self._in_body
        super().on_message_complete()
        if not is_request:
            return
        head, _, _ = self._chunk[:_MOST_HEAD_BYTES].partition(b"\r\n\r\n")
        whole = len(head) + 4 + len(self.cycle.body) == len(self._chunk)
        if whole and self.cycle.keep_alive:
            self._remember(head + b"\r\n\r\n")

    def _remember(self, head: bytes) -> None:
        remembered, length = self.app.fast_path(self.cycle.scope), _LENGTH.search(head)
        if remembered is not None and length is not None:
            self._before, self._behind = head[: length.start(1)], head[length.end(1) :]
            self._remembered = remembered


def _lines(headers: list[tuple[bytes, bytes]]) -> bytes:
    """Headers as they are sent. Uvicorn makes the list of those that all answers have anew each second."""
    global _last_headers, _last_lines
    if headers is not _last_headers:
        _last_headers, _last_lines = headers, b"".join([b"%b: %b\r\n" % header for header in headers])
    return _last_lines
