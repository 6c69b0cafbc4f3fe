"""A WebSocket connection: uvicorn's protocol, counted by its listener and bounded in what a peer can make it keep.

A handshake that is refused is answered in JSON as any other request, and is no error of the server's.
"""

from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import STATUS_PHRASES, WebSocketsSansIOProtocol
from websockets.datastructures import Headers
from websockets.http11 import Response

from logriver.errors import BadRequest, NotFound
from logriver.identity import is_known
from logriver.ingest.answer import JSON, refusal, whole_answer
from logriver.ingest.connections import Connections
from logriver.ingest.progress import Progress

# Empty fragments count for nothing against the size of a message.
_MOST_FRAGMENTS = 1_000
_TOO_BIG = 1009
_NO_TEXT = 1007


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """One connection; a `Connection` of `listener`, which is set right after it was made."""

    listener: Connections
    _sending: Progress | None = None

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.conn.reject = self._rejected  # type: ignore[method-assign]

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self.listener.remove(self)
        super().connection_lost(exc)

    async def send(self, message: Any) -> None:
        """See ASGI."""
        kind = message["type"]
        if kind == "websocket.close" and not self.handshake_complete and self.initial_response is None:
            await self._refuse()
            return
        if kind == "websocket.http.response.start":
            message = {**message, "headers": [*self.default_headers, *message["headers"]]}
        await super().send(message)
        if self.initial_response is not None and self.close_sent:
            # So that nobody takes it for an application that has forgotten to answer.
            self.handshake_complete = True

    def _rejected(self, status: int, text: str) -> Response:
        """The answer to a handshake that is wrong."""
        head, body = whole_answer(BadRequest(text.strip().removesuffix(".").replace("\n", " ")))
        headers = Headers([(str(name, "ascii"), str(value, "ascii")) for name, value in [*self.default_headers, *head]])
        headers["connection"] = "close"
        return Response(status, STATUS_PHRASES[status], headers, body)

    async def _refuse(self) -> None:
        """Nothing answers at this address."""
        status, body, _ = refusal(NotFound(f"no WebSocket has the address {self.scope['path'][:100]!r}"))
        await self.send(
            {"type": "websocket.http.response.start", "status": status, "headers": [(b"content-type", JSON)]}
        )
        await self.send({"type": "websocket.http.response.body", "body": body})

    def send_receive_event_to_app(self) -> None:
        """A message is whole. Text that is none is the peer's fault."""
        if self.curr_msg_data_type == "text":
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self._fail(_NO_TEXT, "no UTF-8")
                return
        super().send_receive_event_to_app()

    def handle_cont(self, event: Any) -> None:
        """A further fragment of a message."""
        if len(self.frames) >= _MOST_FRAGMENTS:
            self._fail(_TOO_BIG, "too many fragments")
            return
        super().handle_cont(event)

    def _fail(self, code: int, reason: str) -> None:
        self.frames = []
        self.conn.fail(code, reason)
        self.handle_parser_exception()

    def handle_ping(self) -> None:
        """A ping: answered, unless the peer does not even read the answers that it has."""
        if self.writable.is_set():
            super().handle_ping()
        else:
            self.conn.data_to_send()

    def is_known(self) -> bool:
        """See `Connection`."""
        return self.handshake_initiated and is_known(self.scope)

    def is_idle(self) -> bool:
        """See `Connection`. A channel is there to be kept."""
        return False

    def end(self) -> None:
        """See `Connection`."""
        self.transport.abort()

    def check(self, now: float) -> None:
        """See `Connection`. Whether an open channel lives is found out by pings."""
        size = self.transport.get_write_buffer_size()
        if not size or (self.writable.is_set() and not self.transport.is_closing()):
            self._sending = None
            return
        if self._sending is None or -size < self._sending.amount:
            self._sending = Progress(now, -size)
        if self._sending.is_late(now, -size, self.listener.patience.reader):
            self.listener.note_end("slow_reader")
            self.transport.abort()
