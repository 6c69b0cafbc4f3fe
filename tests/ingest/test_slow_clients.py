"""Clients that send or read too slowly, stop in the middle, or close one half of their connection."""

import time
from collections.abc import Iterator

import pytest

from logriver.ingest.connections import Patience
from tests.ingest.raw_client import connected
from tests.ingest.web_serving import MB, WebServing, wait_until

PATIENCE = Patience(stranger=0.5, head=3.0, body=1.0, reader=1.0)
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture(scope="module")
def web() -> Iterator[WebServing]:
    running = WebServing(PATIENCE)
    yield running
    running.stop()


def test_a_head_that_stops_is_answered_408(web: WebServing) -> None:
    """A stranger's sooner than that of somebody who was let in before."""
    with connected(web) as client:
        began = time.monotonic()
        client.send(GET[:20])
        answer = client.answer()
        assert (answer.status, answer.code) == (408, "request_timeout")
        assert time.monotonic() - began < PATIENCE.head
        assert client.closed()


def test_a_head_that_trickles_has_no_more_time(web: WebServing) -> None:
    with connected(web) as client:
        began = time.monotonic()
        while time.monotonic() < began + 5 and not client.waits():
            client.send(b"G")
            time.sleep(0.05)
        assert client.answer().status == 408
        assert time.monotonic() - began < PATIENCE.head


def test_a_connection_that_says_nothing_is_closed_without_a_word(web: WebServing) -> None:
    with connected(web) as client:
        assert client.closed()


def test_who_was_let_in_before_has_more_time_for_a_head(web: WebServing) -> None:
    with connected(web) as client:
        client.send(GET)
        assert client.answer().status == 200
        began = time.monotonic()
        client.send(GET[:20])
        time.sleep(2 * PATIENCE.stranger)
        client.send(GET[20:])
        assert client.answer().status == 200
        client.send(b"\r\n")
        assert client.answer().status == 408
        assert time.monotonic() - began > PATIENCE.head


@pytest.mark.parametrize("head", [b"Content-Length: 100\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n"])
def test_a_body_that_stops_is_answered_408(web: WebServing, head: bytes) -> None:
    left = web.application.left
    with connected(web) as client:
        client.send(POST + head)
        answer = client.answer()
        assert (answer.status, answer.code) == (408, "body_timeout")
        assert client.closed()
    wait_until(lambda: web.application.left == left + 1)


def test_a_body_that_comes_at_less_than_the_least_rate_is_answered_408(web: WebServing) -> None:
    with connected(web) as client:
        client.send(POST + b"Content-Length: 10000\r\n\r\n")
        began = time.monotonic()
        while not client.waits():
            assert time.monotonic() < began + 10
            client.send(b"x" * 20)
            time.sleep(0.05)
        assert client.answer().code == "body_timeout"


def test_a_body_may_last_for_any_time_as_long_as_it_comes(web: WebServing) -> None:
    with connected(web) as client:
        client.send(POST + b"Transfer-Encoding: chunked\r\n\r\n")
        began, sent = time.monotonic(), 0
        while time.monotonic() < began + 3 * PATIENCE.body:
            client.send(b"64\r\n" + b"x" * 100 + b"\r\n")
            sent += 100
            time.sleep(0.03)
        client.send(b"0\r\n\r\n")
        assert client.answer().body == b"read %d" % sent


def test_the_body_of_a_stranger_has_a_deadline_however_it_comes(web: WebServing) -> None:
    with connected(web) as client:
        began = time.monotonic()
        client.send(b"POST /stranger HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n")
        while not client.waits():
            assert time.monotonic() < began + 10
            client.send(b"x" * 1000)
            time.sleep(0.02)
        assert client.answer().code == "body_timeout"
        assert time.monotonic() - began < 3


def test_the_body_of_what_was_answered_without_it_is_not_read_on(web: WebServing) -> None:
    """The answer arrives although the client is still sending, and says that it is the last one."""
    with connected(web) as client:
        client.send(b"POST /unread HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n" + b"x" * MB)
        answer = client.answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        began = time.monotonic()
        while time.monotonic() < began + 10 and client.flood(b"x" * 1000, 1):
            time.sleep(0.05)
        assert time.monotonic() - began < 5


def test_an_answer_that_is_not_read_ends_its_connection(web: WebServing) -> None:
    for path in (b"/large", b"/stranger/large"):
        with connected(web) as client:
            client.socket.setsockopt(1, 8, 65_536)
            client.send(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n")
            wait_until(lambda: web.connections == 1)
            wait_until(lambda: web.connections == 0)


def test_an_answer_that_is_read_slowly_arrives_whole(web: WebServing) -> None:
    with connected(web) as client:
        client.send(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        began, received = time.monotonic(), 0
        while received < 20 * MB:
            piece = client.socket.recv(400_000)
            assert piece, received
            received += len(piece)
            time.sleep(0.05)
        assert time.monotonic() - began > 2 * PATIENCE.reader


def test_a_half_closed_client_gets_its_answers(web: WebServing) -> None:
    with connected(web) as client:
        client.send(GET + POST + b"Content-Length: 3\r\n\r\nabc" + GET)
        client.half_close()
        assert [client.answer().body for _ in range(3)] == [b"read 0", b"read 3", b"read 0"]
        assert client.closed()


def test_a_half_closed_client_gets_an_answer_that_takes_its_time(web: WebServing) -> None:
    with connected(web) as client:
        client.send(GET.replace(b"/ ", b"/held "))
        client.half_close()
        time.sleep(1)
        web.release()
        assert client.answer().status == 100
        while (answer := client.answer()).status == 100:
            pass
        assert answer.body == b"read 0"
    web.application.release.clear()


def test_a_client_that_leaves_is_noticed_although_it_looks_half_closed(web: WebServing) -> None:
    left = web.application.left
    with connected(web) as client:
        client.send(GET.replace(b"/ ", b"/held "))
        wait_until(lambda: web.connections == 1)
    wait_until(lambda: web.application.left == left + 1, 5)


@pytest.mark.parametrize("sent", [GET[:10], POST + b"Content-Length: 3\r\n\r\na", b"no request"])
def test_half_a_request_of_a_client_that_sends_no_more_is_answered_400(web: WebServing, sent: bytes) -> None:
    for before in (b"", GET):
        with connected(web) as client:
            client.send(before + sent)
            client.half_close()
            assert not before or client.answer().status == 200
            assert client.answer().code == "bad_request"
            assert client.closed()


def test_what_is_no_request_is_refused_at_once(web: WebServing) -> None:
    with connected(web) as client:
        client.send(b"{")
        assert client.answer().code == "bad_request"
