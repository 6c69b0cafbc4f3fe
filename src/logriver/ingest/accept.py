"""Takes the connections of one listening socket, no more than there is space for.

The event loop's own server would take all that wait, whatever the number, and without a word about those that are in
the middle of TLS's handshake. Here each is counted before it is taken, so that no flood takes the descriptors that the
engine and the log need; what finds no space is told so and closed.
"""

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Callable
from functools import partial

from logriver.errors import Unavailable
from logriver.ingest.answer import refusal
from logriver.ingest.connections import Connections
from logriver.ingest.http_protocol import HttpProtocol

_AT_ONCE = 64
_HANDSHAKE_SECONDS = 10.0
_SHUTDOWN_SECONDS = 5.0
_PAUSE_SECONDS = 0.5
# The process or the machine has none left: waiting helps, trying again at once does not.
_USED_UP = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))
_REQUEST_BYTES = 65_536

log = logging.getLogger(__name__)


class Acceptor:
    """Listens from `start` on. It has what uvicorn asks of a server that it stops."""

    def __init__(
        self,
        listener: socket.socket,
        make: Callable[[], HttpProtocol],
        connections: Connections,
        tls: ssl.SSLContext | None,
    ) -> None:
        self._listener = listener
        self._make = make
        self._connections = connections
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._pause: asyncio.TimerHandle | None = None
        listener.setblocking(False)
        self._loop.add_reader(listener, self._accept)

    def close(self) -> None:
        """Take no more."""
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._listener)

    async def wait_closed(self) -> None:
        """Nothing is left to be waited for."""

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                taken, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _USED_UP:
                    raise
                self._wait(error)
                return
            if self._connections.make_space():
                self._open(taken)
            else:
                self._turn_away(taken)

    def _open(self, taken: socket.socket) -> None:
        endpoint = self._make()
        self._connections.add(endpoint)
        endpoint.opening = self._loop.create_task(self._connect(taken, endpoint))
        endpoint.opening.add_done_callback(partial(self._connected, taken, endpoint))

    async def _connect(self, taken: socket.socket, endpoint: HttpProtocol) -> None:
        timeouts = (_HANDSHAKE_SECONDS, _SHUTDOWN_SECONDS) if self._tls else (None, None)
        await self._loop.connect_accepted_socket(
            lambda: endpoint,
            taken,
            ssl=self._tls,
            ssl_handshake_timeout=timeouts[0],
            ssl_shutdown_timeout=timeouts[1],
        )

    def _connected(self, taken: socket.socket, endpoint: HttpProtocol, task: "asyncio.Task[None]") -> None:
        """It is open, or its peer does not speak TLS, left, took too long or had to free space."""
        endpoint.opening = None
        error = None if task.cancelled() else task.exception()
        if task.cancelled() or error is not None:
            self._connections.remove(endpoint)
            taken.close()
        if error is not None and not isinstance(error, OSError):
            log.error("a connection could not be opened", exc_info=error)

    def _turn_away(self, taken: socket.socket) -> None:
        with taken:
            if self._tls is not None:
                return
            taken.setblocking(False)
            try:
                # What was not read would make a reset of the close, and that discards the answer.
                taken.recv(_REQUEST_BYTES)
            except OSError:
                log.debug("a connection without space sent nothing yet")
            try:
                taken.send(_NO_SPACE)
            except OSError:
                log.debug("a connection without space left")

    def _wait(self, error: OSError) -> None:
        self._connections.note_end("no_descriptors")
        log.error("connections cannot be taken, trying again", extra={"fields": {"error": error.strerror}})
        self._loop.remove_reader(self._listener)
        self._pause = self._loop.call_later(_PAUSE_SECONDS, self._resume)

    def _resume(self) -> None:
        self._pause = None
        self._loop.add_reader(self._listener, self._accept)


def _no_space() -> bytes:
    error = Unavailable("there are too many connections", retry_after_seconds=5)
    status, body, headers = refusal(error)
    lines = b"".join(b"%b: %b\r\n" % header for header in headers)
    return (
        b"HTTP/1.1 %d Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
        b"x-content-type-options: nosniff\r\nconnection: close\r\n%b\r\n%b" % (status, len(body), lines, body)
    )


_NO_SPACE = _no_space()
