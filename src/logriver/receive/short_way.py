"""The short way of one small record: from uvicorn's parser to the sink and back, without a task, a receive and a send.

Who sends one record at a time is bound by the price of a request, and half of that is what ASGI asks for. Only a plain
`POST /api/v1/logs` whose body came with its headers goes this way; anything else, and whatever goes wrong, is answered
as an ASGI request like all others. It uses what uvicorn's protocol has for that (its version is pinned for this);
`tests/test_short_way.py` compares both ways.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from logriver import metrics
from logriver.record import Receipt

Take = Callable[[bytes], asyncio.Future[Receipt] | None]
"""Puts a body into the sink; None, with nothing kept, if it is not one plain record."""

ONE_ACCEPTED = b'{"accepted":1,"rejected":0,"errors":[],"duplicate":false}'
_accepted = metrics.accepted.labels(way="http")
_HEADERS = b"content-type: application/json\r\ncontent-length: %d\r\n" % len(ONE_ACCEPTED)


class HasShortWay(Protocol):
    """What the application must have beside being one."""

    def short_way(self, scope: Any) -> Take | None:
        """How a request with this scope is taken, None if it must go the long way."""
        ...


class ShortWayProtocol(HttpToolsProtocol):
    """Uvicorn's HTTP protocol with the short way; its application is a `HasShortWay`."""

    _held: tuple[RequestResponseCycle, Any, Take] | None = None
    _feeding = False

    def data_received(self, data: bytes) -> None:
        """Bytes from the client: a request that is not complete with them goes the long way, which has a deadline."""
        self._feeding = True
        super().data_received(data)
        self._feeding = False
        if self._held is not None:
            (cycle, app, _), self._held = self._held, None
            super()._start_asgi_task(cycle, app)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        take = app.short_way(cycle.scope) if app is self.app else None
        if take is None:
            super()._start_asgi_task(cycle, app)
        elif not cycle.more_body:
            self._take(cycle, app, take)
        elif self._feeding:
            self._held = cycle, app, take
        else:
            super()._start_asgi_task(cycle, app)

    def on_message_complete(self) -> None:
        """The parser has all of a request."""
        super().on_message_complete()
        held, self._held = self._held, None
        if held is not None:
            self._take(*held)

    def _take(self, cycle: RequestResponseCycle, app: Any, take: Take) -> None:
        receipt = take(bytes(cycle.body))
        if receipt is None:
            super()._start_asgi_task(cycle, app)
        else:
            receipt.add_done_callback(partial(self._answer, cycle, app))

    def _answer(self, cycle: RequestResponseCycle, app: Any, receipt: asyncio.Future[Receipt]) -> None:
        if receipt.cancelled() or receipt.exception() is not None:
            # Nothing of it was kept. The long way tries again and words the error.
            super()._start_asgi_task(cycle, app)
            return
        _accepted.inc()
        if cycle.disconnected:
            return
        lines = [b"%b: %b\r\n" % header for header in cycle.default_headers]
        if not cycle.keep_alive:
            lines.append(b"connection: close\r\n")
        self.transport.write(b"".join([b"HTTP/1.1 200 OK\r\n", *lines, _HEADERS, b"\r\n", ONE_ACCEPTED]))
        cycle.response_started = cycle.response_complete = True
        if not cycle.keep_alive:
            self.transport.close()
        self.on_response_complete()
