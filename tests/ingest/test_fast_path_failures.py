"""Whatever fails on the fast path, the client hears of it once, and what may be on disk is not tried again."""

import socket
from collections.abc import Iterator

import pytest

from logriver.ingest.fast_path import FastPathProtocol, OnTaken
from tests.ingest.test_fast_path_protocol import Serving, request, wait_until

WRONG = b'"code":"internal"'


@pytest.fixture
def serving() -> Iterator[Serving]:
    running = Serving()
    yield running
    running.stop()


def all_of(connection: socket.socket) -> bytes:
    """Everything until the server ends the connection."""
    data = b""
    try:
        while piece := connection.recv(65536):
            data += piece
    except ConnectionResetError:
        pass
    return data


def test_what_may_be_kept_is_not_tried_again(serving: Serving) -> None:
    with serving.connect() as connection:
        connection.sendall(request(b"hold"))
        serving.answer_held(None)
        data = all_of(connection)
    assert data.startswith(b"HTTP/1.1 500 ")
    assert data.count(WRONG) == data.count(b"HTTP/1.1") == 1
    assert serving.application.requests == [b"first"]


def test_a_body_that_cannot_be_taken_is_answered_once(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    late: list[OnTaken] = []

    def take(body: bytes, answer: OnTaken) -> None:
        late.append(answer)
        raise MemoryError

    monkeypatch.setattr(serving.application, "_take", take)
    with serving.connect() as connection:
        connection.sendall(request(b"body"))
        wait_until(lambda: bool(late))
        serving.application.held = late
        serving.answer_held(True)
        data = all_of(connection)
    assert data.startswith(b"HTTP/1.1 500 ")
    assert data.count(WRONG) == data.count(b"HTTP/1.1") == 1
    assert serving.application.requests == [b"first"]


def test_a_client_that_cannot_be_answered_does_not_wait_for_ever(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    def accept(protocol: FastPathProtocol) -> None:
        raise MemoryError

    with serving.connect() as connection:
        monkeypatch.setattr(FastPathProtocol, "_accept", accept)
        connection.sendall(request(b"body"))
        assert all_of(connection) == b""
