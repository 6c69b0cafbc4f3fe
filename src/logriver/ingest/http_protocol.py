"""HTTP/1 on one connection: uvicorn's protocol with a limit and a deadline for everything that a peer can send.

    head        kept until it is whole, at most 64 kB (`http_head.py`), then given to the parser
    body        given to the parser as it comes; what frames its pieces, and trailers, are bounded and passed over
    answering   what comes meanwhile is kept as bytes and not read on: requests are parsed one at a time
    leaving     a refusal was sent; what still comes is thrown away for a moment, so that the peer can read the answer

Who has not sent a whole request that was let in as somebody is a stranger and has less time. A request answered
before its body was here ends its connection. `Connections` counts the connections and looks after the deadlines.
Uvicorn's minor version is pinned for this.
"""

import asyncio
import socket
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, cast
from urllib.parse import unquote

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from logriver.errors import BadRequest, BodyTimeout, HeadersTooLarge, LogriverError, RequestTimeout
from logriver.identity import is_known
from logriver.ingest import http_head
from logriver.ingest.answer import whole_answer
from logriver.ingest.body import QUIET_BODY
from logriver.ingest.connections import Connections, Patience
from logriver.ingest.progress import LEAST_BYTES_PER_SECOND, Progress

_UNLIMITED = 1_000_000
# A body of unknown length is parsed in pieces, so that what stands between its chunks can be counted.
_PIECE_BYTES = 16 * 1024
# A chunk of one byte has six around it.
_MOST_FRAMING_PER_BYTE = 8
_LEAVING_SECONDS = 2.0
# How long a client that has sent its last byte is waited with before it is asked whether it is still there.
_FIRST_PROBE_SECONDS = 0.1
_LAST_PROBE_SECONDS = 5.0
_PROBE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Cycle(RequestResponseCycle):
    """One request and its answer. Its `transport` is the protocol, which knows how to close."""

    def send(self, message: Any) -> Coroutine[Any, Any, None]:
        """See ASGI. An answer that begins before the body is here is the last one on its connection."""
        if self.more_body and not self.response_started:
            self.keep_alive = False
        return super().send(message)

    async def send_500_response(self) -> None:
        """What is answered when the application has failed to."""
        head, body = whole_answer(LogriverError("something went wrong in the server"))
        headers = [*head, (b"connection", b"close")]
        await self.send({"type": "http.response.start", "status": 500, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})


class HttpProtocol(HttpToolsProtocol):
    """One connection; a `Connection`."""

    cycle: Cycle
    write: Callable[[bytes], None]
    is_closing: Callable[[], bool]
    # The head that is arriving, and since when it, a body, or the peer's leave-taking is waited for.
    _head: bytearray | None = None
    _since = 0.0
    # Whether the parser may begin a request, is in a head, or in a body, of which so much is missing (None: in chunks).
    _expects_head = False
    _in_head = False
    _in_body = False
    _missing: int | None = None
    # Of the body: bytes of it, around it, and around it since the last of it.
    _body_bytes = 0
    _framing_bytes = 0
    _gap_bytes = 0
    _later = b""
    _is_websocket = False
    _overrun = False
    _leaving = False
    _half_closed = False
    _known = False
    _is_asked = False
    opening: asyncio.Task[None] | None = None
    _receiving: Progress | None = None
    _sending: Progress | None = None

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        connections: Connections | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.listener = Connections(_UNLIMITED, Patience()) if connections is None else connections

    # -- the connection ----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The peer is there, after TLS was agreed on if it is spoken."""
        super().connection_made(transport)
        self.write, self.is_closing = transport.write, transport.is_closing
        self._since = self.loop.time()
        self.listener.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self.listener.remove(self)
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]
        """The peer sends no more. It may still read: who has asked gets the answer."""
        if self._leaving or self.scheme == "https":
            return False
        if self._head or self._in_body:
            self._refuse_rest()
        if not self._answers() or self._has_started():
            return False
        self._half_closed = True
        self.loop.call_later(_FIRST_PROBE_SECONDS, self._probe, _FIRST_PROBE_SECONDS)
        return True

    def close(self) -> None:
        """Close after what was written; `Cycle` calls it."""
        if self._in_body or self._later:
            self._leave()
        else:
            self.transport.close()

    def shutdown(self) -> None:
        """The server stops."""
        if self._leaving:
            self.transport.close()
        else:
            super().shutdown()

    def _answers(self) -> bool:
        """Whether a whole request waits for its answer."""
        return self.cycle is not None and not self.cycle.response_complete and not self._in_body

    def _refuse_rest(self) -> None:
        """A request whose end will never come."""
        part = "body" if self._in_body else "head"
        self.refuse(BadRequest(f"the connection ends within the {part} of the request"))

    def _has_started(self) -> bool:
        return self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete

    def _probe(self, seconds: float) -> None:
        """A peer that has left altogether looks like one that still reads, until something is sent to it.

        HTTP lets a server send this before any answer. To a peer that has left it makes the next one fail, which ends
        the connection, and with it a query that nobody waits for.
        """
        if self.transport.is_closing() or not self._answers() or self._has_started():
            return
        if self.scope["http_version"] == "1.1":
            self.write(_PROBE)
        seconds = min(2 * seconds, _LAST_PROBE_SECONDS)
        self.loop.call_later(seconds, self._probe, seconds)

    # -- what arrives ------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Bytes from the peer."""
        if self._leaving or self._overrun:
            return
        self._unset_keepalive_if_required()
        at = 0
        while at < len(data) and not self._leaving and not self.transport.is_closing():
            if self._in_body:
                at = self._take_body(data, at)
            elif self.cycle is not None and self._answers():
                self._later += data[at:]
                self.flow.pause_reading()
                return
            else:
                at = self._take_head(data, at)

    def _take_head(self, data: bytes, at: int) -> int:
        """Give the parser the head that begins or goes on at `at`, if it ends here; the place behind it."""
        kept = self._head
        if kept:
            head: bytes | bytearray = kept
            start, searched = 0, len(kept)
            kept += data[at : at + http_head.MOST_BYTES + 1]
        else:
            start = searched = at = http_head.behind_empty_lines(data, at)
            head = data
        end = http_head.end_of(head, start, searched)
        try:
            http_head.check(head, start, end)
        except LogriverError as error:
            self.refuse(error, "not_http" if error.status == 400 else "head_too_large")
            return len(data)
        if not end:
            self._keep_head(kept or bytearray(data[at:]))
            return len(data)
        if kept is not None:
            self._keep_head(None)
        self._parse_head(bytes(head[start:end]))
        return at + end - searched

    def _keep_head(self, head: bytearray | None) -> None:
        if self._head is None and self.scope is not None:
            self._since = self.loop.time()
        self._head = head
        self.listener.holds(self, len(head or b""))

    def _parse_head(self, head: bytes) -> None:
        self._expects_head = True
        try:
            self._feed_head(head)
        except httptools.HttpParserUpgrade:
            self.handle_websocket_upgrade()
        except httptools.HttpParserError as error:
            # Of our own calls only that of the target can fail.
            wrong = "its target is no path" if isinstance(error, httptools.HttpParserCallbackError) else error
            self.refuse(BadRequest(f"the request is not HTTP/1.1: {wrong}"), "not_http")
        except LogriverError as error:
            self.refuse(error, "head_too_large")
        else:
            if self._in_head or self._expects_head:
                self.refuse(BadRequest("the request is not HTTP/1.1"), "not_http")
            elif self._in_body:
                self._since, self._missing = self.loop.time(), None
                for name, value in self.headers:
                    if name == b"content-length":
                        self._missing = int(value)

    def _feed_head(self, head: bytes) -> None:
        """Raises what the parser does, and `TargetTooLong` or `HeadersTooLarge` for a WebSocket."""
        try:
            self.parser.feed_data(head)
        except httptools.HttpParserCallbackError:
            if not self.parser.should_upgrade():
                raise
            # Once more, by a parser that has not met it, without what does not count.
            passed_over = http_head.without_idle_upgrade(head)
            self._is_websocket = passed_over == head and head.startswith(b"GET ")
            self.parser = httptools.HttpRequestParser(self)
            self._expects_head, self._in_head = True, False
            self.parser.feed_data(passed_over)

    def _take_body(self, data: bytes, at: int) -> int:
        """Give the parser more of the body; the place behind it."""
        had = self._body_bytes
        end = min(len(data), at + (_PIECE_BYTES if self._missing is None else self._missing))
        try:
            self.parser.feed_data(data if end - at == len(data) else memoryview(data)[at:end])
        except httptools.HttpParserError as error:
            if self._overrun:
                return len(data)
            self.refuse(BadRequest(f"the body is not framed as HTTP/1.1: {error}"), "not_http")
            return len(data)
        if self._missing is not None:
            self._missing -= end - at
        else:
            self._count_framing(end - at, self._body_bytes - had)
        return end

    def _count_framing(self, size: int, of_body: int) -> None:
        """Trailers, sizes of chunks and what may follow those: bounded at one place, and in all."""
        self._framing_bytes += size - of_body
        self._gap_bytes = 0 if of_body else self._gap_bytes + size
        most = http_head.MOST_BYTES
        if self._gap_bytes > most or self._framing_bytes > most + _MOST_FRAMING_PER_BYTE * self._body_bytes:
            self.refuse(HeadersTooLarge(f"trailers, or what frames the body, have more than {most} bytes"), "trailers")

    # -- the parser's calls ------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A request begins. What comes in one piece with the end of a body in chunks is not taken: none does that."""
        if self._expects_head:
            self._expects_head, self._in_head = False, True
            super().on_message_begin()
        else:
            self._overrun = True
            self.cycle.keep_alive = False

    def on_url(self, url: bytes) -> None:
        """A part of the target."""
        if self._in_head:
            self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header. Trailers are passed over: what looks at headers did so before."""
        if self._in_head:
            name = name.lower()
            if name == b"expect" and value.lower() == b"100-continue":
                self.expect_100_continue = True
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The head is whole: the application may begin."""
        if not self._in_head:
            return
        self._in_head = False
        scope, parser = self.scope, self.parser
        scope["method"] = parser.get_method().decode("ascii")
        scope["http_version"] = parser.get_http_version()
        if parser.should_upgrade():
            if not self._is_websocket:
                raise BadRequest("an upgrade to what is not known")
            return
        url = httptools.parse_url(self.url)
        scope["raw_path"] = url.path
        path = url.path.decode("ascii")
        scope["path"] = unquote(path) if "%" in path else path
        scope["query_string"] = url.query or b""
        self._in_body = True
        self._body_bytes = self._framing_bytes = self._gap_bytes = 0
        self._receiving = None
        self.cycle = Cycle(
            scope=scope,
            transport=cast(asyncio.Transport, self),
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=scope["http_version"] == "1.1" and parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        self._start_asgi_task(self.cycle, self.app)

    def on_body(self, body: bytes) -> None:
        """A part of the body. Of a request that was answered it is thrown away."""
        if not self._in_body:
            return
        self._body_bytes += len(body)
        cycle = self.cycle
        if cycle.response_complete:
            return
        cycle.body += body
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.message_event.set()

    def on_message_complete(self) -> None:
        """The request is whole."""
        if self._in_body:
            self._in_body = False
            self.cycle.more_body = False
            self.cycle.message_event.set()

    def on_response_complete(self) -> None:
        """The answer is whole: on to what came meanwhile."""
        super().on_response_complete()
        if not self._leaving and not self.transport.is_closing():
            self._go_on()

    def _go_on(self) -> None:
        later, self._later = self._later, b""
        if later:
            HttpProtocol.data_received(self, later)
        if self._half_closed and not self._answers():
            if self._head or self._in_body:
                self._refuse_rest()
            self.transport.close()

    def handle_websocket_upgrade(self) -> None:
        """From here on it is another protocol's connection."""
        super().handle_websocket_upgrade()
        websocket: Any = self.transport.get_protocol()
        websocket.listener = self.listener
        self.listener.replace(self, websocket)

    # -- limits and deadlines ----------------------------------------------------------------------------------------

    def refuse(self, error: LogriverError, reason: str = "") -> None:
        """Answer `error` in place of the application, as far as that has not answered yet, and end the connection.

        It is counted under `reason`, where the peer does what none should.
        """
        if reason:
            self.listener.note_end(reason)
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.waiting_for_100_continue = False
            cycle.message_event.set()
            if cycle.response_started:
                self.transport.abort()
                return
        head, body = whole_answer(error)
        self.write(_answer_bytes(error.status, [*self.server_state.default_headers, *head], body))
        self._leave()

    def _leave(self) -> None:
        """Close, but not at once: a connection with unread bytes is reset, and the peer may lose the answer."""
        self._leaving, self._later, self._since = True, b"", self.loop.time()
        self._keep_head(None)
        self._unset_keepalive_if_required()
        if self._half_closed:
            self.transport.close()
            return
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.flow.resume_reading()

    def is_known(self) -> bool:
        """See `Connection`."""
        if not self._known and self.scope is not None:
            self._known = is_known(self.scope)
        return self._known

    def is_idle(self) -> bool:
        """See `Connection`."""
        return self._leaving or not (self._in_body or self._answers())

    def end(self) -> None:
        """See `Connection`."""
        if self.transport is not None:
            self.transport.abort()
        elif self.opening is not None:
            self.opening.cancel()

    def check(self, now: float) -> None:
        """See `Connection`."""
        if self.transport is None:
            return
        patience, known = self.listener.patience, self.is_known()
        if not self._is_read(now, patience.reader if known else patience.stranger):
            self.listener.note_end("slow_reader")
            self.transport.abort()
        elif self.transport.is_closing():
            return
        elif self._leaving:
            if now - self._since > _LEAVING_SECONDS:
                self.transport.close()
        elif self._in_body:
            self._check_body(now, patience.body if known else patience.stranger, known)
        elif self._head is not None or self.scope is None:
            self._check_head(now, patience.head if known else patience.stranger)

    def _is_read(self, now: float, seconds: float) -> bool:
        """Whether the peer reads what waits to be sent, if that is much or the last."""
        size = self.transport.get_write_buffer_size()
        if not size or not (self.flow.write_paused or self._leaving or self.transport.is_closing()):
            self._sending = None
            return True
        if self._sending is None or -size < self._sending.amount:
            # More was added, because it is read.
            self._sending = Progress(now, -size)
        return not self._sending.is_late(now, -size, seconds)

    def _check_head(self, now: float, seconds: float) -> None:
        if now - self._since < seconds:
            return
        if self._head is None:
            self.listener.note_end("silent")
            self.transport.close()
        else:
            self.refuse(RequestTimeout(f"the head of the request did not arrive within {seconds:g} s"), "slow_head")

    def _check_body(self, now: float, seconds: float, known: bool) -> None:
        if self.flow.read_paused:
            # It is the server that does not get on.
            self._receiving = None
        elif not known:
            if now - self._since > seconds:
                self.refuse(BodyTimeout(f"the body did not arrive within {seconds:g} s"), "slow_body")
        elif QUIET_BODY in self.scope:
            self._let_be_quiet()
        elif self._receiving is None:
            self._receiving = Progress(now, self._body_bytes)
        elif self._receiving.is_late(now, self._body_bytes, seconds):
            least = f"{LEAST_BYTES_PER_SECOND} bytes/s"
            message = f"more of the body did not arrive within {seconds:g} s, or it comes at less than {least}"
            self.refuse(BodyTimeout(message), "slow_body")

    def _let_be_quiet(self) -> None:
        """Nothing is expected of the peer but that it is there, which its kernel says for it."""
        if not self._is_asked:
            self._is_asked = True
            peer = self.transport.get_extra_info("socket")
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def _answer_bytes(status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> bytes:
    lines = b"".join(b"%b: %b\r\n" % header for header in headers)
    return b"%b%bconnection: close\r\n\r\n%b" % (STATUS_LINE[status], lines, body)
