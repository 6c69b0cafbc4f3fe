"""A header on every answer that is without records which are there and cannot be read.

Answers in JSON say it themselves, under the key `incomplete`. Streams, and the calls of the earlier systems with shapes
of their own, have only the header.
"""

from collections.abc import Callable, Sequence

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = "Logriver-Incomplete"
_OWN = ("search", "tail", "histogram", "fields", "stats", "context", "patterns", "sql", "suggest")
_QUESTIONS = (
    *(f"/api/v1/{name}" for name in _OWN),
    *("/fetch_logs", "/levels", "/resources", "/init_filter", "/logs/filter/", "/customers/"),
)


class Incomplete:
    """Says in answers about records what they are `without`, as sentences."""

    def __init__(self, app: ASGIApp, without: Callable[[], Sequence[str]]) -> None:
        self._app = app
        self._without = without

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One call, as ASGI has it."""
        if scope["type"] != "http" or not scope["path"].startswith(_QUESTIONS):
            await self._app(scope, receive, send)
            return

        async def said(message: Message) -> None:
            # When the answer begins, its query has met what is damaged.
            if message["type"] == "http.response.start" and (without := self._without()):
                MutableHeaders(scope=message)[HEADER] = "; ".join(without)
            await send(message)

        await self._app(scope, receive, said)
