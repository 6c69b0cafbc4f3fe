"""The fast path of a connection, before a small application that says which requests came to it by which path."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvicorn

from logriver.identity import LOCAL
from logriver.ingest.fast_path import ONE_ACCEPTED, FastPathProtocol, OnTaken, Remembered

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b"
KEEP_ALIVE_SECONDS = 1
SLOW = b"the slow path"


class Application:
    """Answers what comes as an ASGI request; takes bodies, but not those that begin with "no", and holds "hold"."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.taken: list[bytes] = []
        self.held: list[OnTaken] = []
        self.generation = 1

    async def __call__(self, scope: Any, receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        body = b""
        more = True
        while more:
            message = await receive()
            body += message["body"]
            more = message["more_body"]
        self.requests.append(body)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(SLOW))]})
        await send({"type": "http.response.body", "body": SLOW})

    def fast_path(self, scope: Any) -> Remembered | None:
        return Remembered(self._take, LOCAL, self.generation) if scope["method"] == "POST" else None

    def _take(self, body: bytes, answer: OnTaken) -> None:
        self.taken.append(body)
        if body == b"hold":
            self.held.append(answer)
        else:
            answer(not body.startswith(b"no"))


class Serving:
    """Uvicorn on a thread of its own."""

    def __init__(self) -> None:
        self.application = Application()
        config = uvicorn.Config(
            self.application,
            port=0,
            http=FastPathProtocol,
            lifespan="off",
            log_config=None,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
        )
        self.server = uvicorn.Server(config)
        self._thread = threading.Thread(target=asyncio.run, args=(self._serve(),))
        self._thread.start()
        wait_until(lambda: self.server.started)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        await self.server.serve()

    def connect(self) -> socket.socket:
        """A connection that has learnt the head."""
        address = self.server.servers[0].sockets[0].getsockname()
        connection = socket.create_connection(address, timeout=10)
        connection.sendall(request(b"first"))
        assert ends_with(connection, SLOW)
        return connection

    def answer_held(self, kept: bool | None) -> None:
        wait_until(lambda: bool(self.application.held))
        self._loop.call_soon_threadsafe(self.application.held.pop(), kept)

    def stop(self) -> None:
        self.server.should_exit = True
        self._thread.join(10)
        assert not self._thread.is_alive()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def request(body: bytes) -> bytes:
    return HEAD % (len(body), body)


def ends_with(connection: socket.socket, *bodies: bytes) -> bool:
    """Whether exactly these answers come, in this order."""
    data = b""
    for body in bodies:
        while body not in data:
            piece = connection.recv(65536)
            if not piece:
                return False
            data += piece
        data = data.partition(body)[2]
    return not data


@pytest.fixture
def serving() -> Iterator[Serving]:
    running = Serving()
    yield running
    running.stop()


def test_a_head_that_came_before_takes_the_fast_path(serving: Serving) -> None:
    with serving.connect() as connection:
        for body in (b"second", b"third one"):
            connection.sendall(request(body))
            assert ends_with(connection, ONE_ACCEPTED)
    assert serving.application.requests == [b"first"]
    assert serving.application.taken == [b"second", b"third one"]


def test_each_connection_learns_for_itself(serving: Serving) -> None:
    with serving.connect(), serving.connect():
        assert serving.application.requests == [b"first", b"first"]


@pytest.mark.parametrize(
    "other",
    [
        request(b"body").replace(b"Host: x", b"Host: y"),
        request(b"body").replace(b"POST /", b"POST /?a"),
        request(b"body").replace(b"\r\n\r\n", b"\r\nX: y\r\n\r\n"),
        request(b"body").replace(b": 4", b": 04 "),
    ],
)
def test_another_head_takes_the_slow_path(serving: Serving, other: bytes) -> None:
    with serving.connect() as connection:
        connection.sendall(other)
        assert ends_with(connection, SLOW)
    assert serving.application.requests == [b"first", b"body"]


def test_a_head_of_another_generation_takes_the_slow_path_and_is_learnt_anew(serving: Serving) -> None:
    with serving.connect() as connection:
        serving.application.generation += 1
        for body in (b"second", b"third"):
            connection.sendall(request(body))
            assert ends_with(connection, SLOW if body == b"second" else ONE_ACCEPTED)
    assert serving.application.requests == [b"first", b"second"]
    assert serving.application.taken == [b"third"]


def test_what_is_not_kept_takes_the_slow_path_once(serving: Serving) -> None:
    with serving.connect() as connection:
        connection.sendall(request(b"not me"))
        assert ends_with(connection, SLOW)
        connection.sendall(request(b"me"))
        assert ends_with(connection, ONE_ACCEPTED)
    assert serving.application.requests == [b"first", b"not me"]
    assert serving.application.taken == [b"not me", b"me"]


@pytest.mark.parametrize("kept", [True, False])
def test_what_comes_behind_a_request_waits_for_its_answer(serving: Serving, kept: bool) -> None:
    with serving.connect() as connection:
        connection.sendall(request(b"hold"))
        wait_until(lambda: bool(serving.application.held))
        connection.sendall(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n" + request(b"last"))
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(10)
        serving.answer_held(kept)
        assert ends_with(connection, ONE_ACCEPTED if kept else SLOW, SLOW, SLOW)


@pytest.mark.parametrize("kept", [True, False])
def test_a_client_that_left_is_not_answered(serving: Serving, kept: bool) -> None:
    with serving.connect() as connection:
        connection.sendall(request(b"hold"))
        wait_until(lambda: bool(serving.application.held))
    wait_until(lambda: not serving.server.server_state.connections)
    serving.answer_held(kept)
    with serving.connect() as connection:
        connection.sendall(request(b"another"))
        assert ends_with(connection, ONE_ACCEPTED)


@pytest.mark.parametrize("kept", [True, False])
def test_a_server_that_stops_gives_the_answer_that_is_due(serving: Serving, kept: bool) -> None:
    with serving.connect() as connection:
        connection.sendall(request(b"hold"))
        wait_until(lambda: bool(serving.application.held))
        serving.server.should_exit = True
        time.sleep(0.5)
        serving.answer_held(kept)
        data = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := connection.recv(65536):
                data += piece
        assert (ONE_ACCEPTED if kept else SLOW) in data
        assert b"\r\nconnection: close\r\n" in data


def test_an_idle_connection_is_closed_and_a_busy_one_is_not(serving: Serving) -> None:
    with serving.connect() as idle, serving.connect() as busy, serving.connect() as waiting:
        idle.sendall(request(b"once"))
        assert ends_with(idle, ONE_ACCEPTED)
        waiting.sendall(request(b"hold"))
        began = time.monotonic()
        while time.monotonic() < began + 2 * KEEP_ALIVE_SECONDS:
            busy.sendall(request(b"again"))
            assert ends_with(busy, ONE_ACCEPTED)
            time.sleep(0.2)
        assert idle.recv(1) == b""
        serving.answer_held(True)
        assert ends_with(waiting, ONE_ACCEPTED)
