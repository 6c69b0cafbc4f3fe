"""The web server on a thread, before a small application, so that deadlines can be short."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import uvloop

from logriver.identity import LOCAL, SCOPE_KEY
from logriver.ingest.connections import Patience
from logriver.ingest.fast_path import Remembered
from logriver.ingest.web_server import WebServer

SECONDS = 20
MB = 1_000_000


def wait_until(condition: Callable[[], bool], seconds: float = SECONDS) -> None:
    """Fail if it does not hold after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


class Application:
    """Lets in what does not begin with `/stranger`, reads the body, and answers.

    `/large` is answered with 20 MB at once, `/held` when `release` is set, `/unread` without reading the body.
    """

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.left = 0
        self.release = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if not scope["path"].startswith("/stranger"):
            scope[SCOPE_KEY] = LOCAL
        body, more = b"", not scope["path"].endswith("/unread")
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.left += 1
                return
            body += message["body"]
            more = message["more_body"]
        self.bodies.append(body)
        if scope["path"] == "/held":
            await self._hold(receive)
        answer = b"x" * 20 * MB if scope["path"].endswith("/large") else b"read %d" % len(body)
        headers = [(b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    async def _hold(self, receive: Any) -> None:
        leaving, released = asyncio.ensure_future(receive()), asyncio.ensure_future(self.release.wait())
        done, _ = await asyncio.wait([leaving, released], return_when=asyncio.FIRST_COMPLETED)
        self.left += leaving in done
        leaving.cancel()
        released.cancel()

    generation = 1

    def fast_path(self, scope: Any) -> Remembered | None:
        """Nothing takes the fast path."""
        return None


class Web(WebServer):
    """On a thread there are no signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """See uvicorn."""
        yield


class WebServing:
    """It runs from the beginning to `stop`."""

    def __init__(
        self, patience: Patience, certificate: Path | None = None, key: Path | None = None, application: Any = None
    ) -> None:
        self.application = application or Application()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.web = Web(self.application, certificate, key, patience, MB)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        wait_until(lambda: self.web.started)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            self.loop = runner.get_loop()
            runner.run(self.web.serve([self.listener]))

    @property
    def connections(self) -> int:
        """How many there are."""
        return len(self.web.server_state.connections)

    def release(self) -> None:
        """Let what is held be answered."""
        self.loop.call_soon_threadsafe(self.application.release.set)

    def stop(self) -> None:
        """End it."""
        self.web.should_exit = True
        self._thread.join(SECONDS)
        assert not self._thread.is_alive()
