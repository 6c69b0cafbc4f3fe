"""A client that goes away: its call is cancelled, and with it the queries that it waits for."""

import asyncio

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Calls by POST that change nothing. What is not here is finished, whoever listens.
_QUESTIONS = frozenset(
    {"/api/v1/search", "/api/v1/histogram", "/api/v1/stats", "/api/v1/sql", "/api/v1/patterns", "/fetch_logs"}
    | {"/logs/filter/"}
)
_GONE: Message = {"type": "http.disconnect"}
_NO_BODY: Message = {"type": "http.request", "body": b"", "more_body": False}


class CancelOnDisconnect:
    """Cancels calls that only read when their client goes away."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One call, as ASGI has it."""
        if scope["type"] != "http" or not (scope["method"] == "GET" or scope["path"] in _QUESTIONS):
            await self._app(scope, receive, send)
            return
        with anyio.CancelScope() as call:
            client = _Client(receive, call, has_body=scope["method"] != "GET")
            watching = asyncio.create_task(client.watch())
            try:
                await self._app(scope, client.receive, send)
            finally:
                watching.cancel()


class _Client:
    """What comes from a client: first to the call, which reads the body, afterwards to the watch."""

    def __init__(self, receive: Receive, call: anyio.CancelScope, has_body: bool) -> None:
        self._receive = receive
        self._call = call
        self._left: asyncio.Event = asyncio.Event()
        self._body_read = asyncio.Event()
        self._pending = None if has_body else _NO_BODY
        if not has_body:
            self._body_read.set()

    async def receive(self) -> Message:
        """What the call receives."""
        if self._pending is not None:
            message, self._pending = self._pending, None
            return message
        if self._body_read.is_set():
            await self._left.wait()
            return _GONE
        message = await self._receive()
        if not message.get("more_body", False):
            self._body_read.set()
        return message

    async def watch(self) -> None:
        """Cancel the call when the client has left."""
        await self._body_read.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._left.set()
        self._call.cancel()
