"""Uvicorn, with the protocols and the limits of this server, on sockets that are bound already."""

import asyncio
import contextlib
import resource
import signal
import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn

from logriver.ingest.accept import Acceptor
from logriver.ingest.connections import Connections, Patience
from logriver.ingest.fast_path import FastPathProtocol
from logriver.ingest.websocket_protocol import WebSocketProtocol

CONNECTIONS_WAITING = 4096
"""What the kernel keeps of a listener's connections until they are taken."""

_KEEP_ALIVE_SECONDS = 75
_STOP_SECONDS = 10
# Half of the descriptors are for the engine, the log and what is followed.
_DESCRIPTORS_OF_CONNECTIONS = 2
_LEAST_CONNECTIONS = 16
# Beyond this it is memory that runs out: a connection takes some ten kB.
_MOST_CONNECTIONS = 10_000
# No answer is to be taken for anything but what it says it is.
_HEADERS = [("x-content-type-options", "nosniff")]


class WebServer(uvicorn.Server):
    """Stopped by SIGTERM and SIGINT without raising them again: the process ends by itself, with 0."""

    def __init__(
        self, app: Any, certificate: Path | None, key: Path | None, patience: Patience, max_message_bytes: int
    ) -> None:
        self._patience = patience
        super().__init__(
            uvicorn.Config(
                app,
                ssl_certfile=certificate,
                ssl_keyfile=key,
                http=FastPathProtocol,
                ws=WebSocketProtocol,
                ws_max_size=max_message_bytes,
                ws_per_message_deflate=False,
                lifespan="off",
                access_log=False,
                log_config=None,
                server_header=False,
                headers=_HEADERS,
                proxy_headers=False,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=_STOP_SECONDS,
            )
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Take connections, each listener within its budget."""
        listeners = sockets or []
        budget = connections_each(len(listeners))
        self.servers = [self._accept(listener, budget) for listener in listeners]  # type: ignore[misc]
        self.started = True

    def _accept(self, listener: socket.socket, budget: int) -> Acceptor:
        connections = Connections(budget, self._patience)
        make = partial(FastPathProtocol, self.config, self.server_state, {}, connections=connections)
        # A Unix socket speaks no TLS, which is for networks.
        tls = None if listener.family == socket.AF_UNIX else self.config.ssl
        return Acceptor(listener, make, connections, tls)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """See uvicorn."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


def connections_each(listeners: int) -> int:
    """How many connections each of so many listeners may have, by the descriptors that the process may have."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST_CONNECTIONS
    if descriptors != resource.RLIM_INFINITY:
        most = min(most, descriptors // _DESCRIPTORS_OF_CONNECTIONS)
    return max(_LEAST_CONNECTIONS, most // max(1, listeners))
