"""A body that may be quiet stays open for as long as its sender likes, if that was let in; others have a deadline."""

import socket
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from logriver.identity import LOCAL, SCOPE_KEY
from logriver.ingest.body import BodyLimits
from logriver.ingest.connections import Patience
from logriver.ingest.endpoint import Route
from logriver.ingest.fast_path import Remembered
from logriver.ingest.memory_budget import MemoryBudget
from logriver.ingest.pipeline import Pipeline
from tests.ingest.raw_client import connected
from tests.ingest.test_pipeline import Kept, Upload
from tests.ingest.web_serving import MB, WebServing, wait_until

PATIENCE = Patience(stranger=0.4, head=1.0, body=0.4, reader=1.0)
CHUNKED = b"Host: x\r\nTransfer-Encoding: chunked\r\n\r\n"


class Quiet(Upload):
    """Takes lines for as long as somebody sends some."""

    routes: Sequence[Route] = (  # type: ignore[assignment]
        Route("POST", "/quiet", quiet=True),
        Route("POST", "/stranger", quiet=True),
        Route("POST", "/busy"),
    )


class Application:
    """The pipeline behind an access control that lets in all but strangers."""

    identity = 1

    def __init__(self) -> None:
        self.kept = Kept()
        self._pipeline = Pipeline(self.kept, BodyLimits(MemoryBudget(MB), MB, MB), [Quiet()])

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] != "/stranger":
            scope[SCOPE_KEY] = LOCAL
        await self._pipeline(scope, receive, send)

    def fast_path(self, scope: Any) -> Remembered | None:
        return None


@pytest.fixture(scope="module")
def web() -> Iterator[WebServing]:
    application = Application()
    running = WebServing(PATIENCE, application=application)
    yield running
    running.stop()


def test_a_quiet_body_may_stop_for_long(web: WebServing) -> None:
    kept: Kept = web.application.kept  # type: ignore[union-attr]
    with connected(web) as client:
        client.send(b"POST /quiet HTTP/1.1\r\n" + CHUNKED)
        for number in range(3):
            client.send(b"4\r\n%03d\n\r\n" % number)
            wait_until(lambda number=number: len(kept.rows) == number + 1)  # type: ignore[misc]
            time.sleep(3 * PATIENCE.body)
            assert not client.waits()
        client.send(b"0\r\n\r\n")
        assert client.answer().status == 202
    assert kept.rows == [b"000", b"001", b"002"]


@pytest.mark.parametrize("path", [b"/busy", b"/stranger"])
def test_other_bodies_have_a_deadline(web: WebServing, path: bytes) -> None:
    with connected(web) as client:
        client.send(b"POST %b HTTP/1.1\r\n" % path + CHUNKED + b"2\r\nx\n\r\n")
        answer = client.answer()
        assert answer.status == 408
        assert client.closed()


def test_the_next_body_of_a_connection_is_not_quiet_by_that(web: WebServing) -> None:
    with connected(web) as client:
        client.send(b"POST /quiet HTTP/1.1\r\n" + CHUNKED + b"2\r\nx\n\r\n0\r\n\r\n")
        assert client.answer().status == 202
        client.send(b"POST /busy HTTP/1.1\r\n" + CHUNKED + b"2\r\nx\n\r\n")
        assert client.answer().status == 408


def test_a_quiet_sender_that_vanishes_is_noticed_by_the_kernel(web: WebServing) -> None:
    with connected(web) as client:
        client.send(b"POST /quiet HTTP/1.1\r\n" + CHUNKED)
        wait_until(lambda: web.connections == 1 and is_asked(web))


def is_asked(web: WebServing) -> bool:
    """Whether the kernel asks the peer of the one connection now and then whether it is there."""
    (connection,) = web.web.server_state.connections
    peer: socket.socket = connection.transport.get_extra_info("socket")
    return peer.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
