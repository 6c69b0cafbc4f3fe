"""The channel's frames, from the agent's side: who may open one, whose name it is, and what closes it."""

import contextlib
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from logriver.errors import BadRequest
from logriver.ship import frames
from logriver.ship.frames import (
    BAD_FRAME,
    NAME_TAKEN,
    AgentSource,
    Beat,
    Cancel,
    End,
    Failure,
    Hello,
    More,
    Piece,
    Welcome,
)
from tests.conftest import RunningServer
from tests.cpu_time import within_cpu_time

FORWARDED = {"X-Forwarded-For": "203.0.113.7"}
_TOO_BIG = 1009
_names = (f"agent-{number}" for number in count())
_WAIT_SECONDS = 60


@contextlib.contextmanager
def dialled(server: RunningServer, headers: dict[str, str] | None = None) -> Iterator[ClientConnection]:
    url = server.url.replace("http", "ws", 1) + frames.CHANNEL_PATH
    with connect(url, additional_headers=headers, proxy=None, compression=None) as connection:
        yield connection


def hello(name: str, host: str = "a", instance: str = "1", version: int = frames.VERSION) -> Hello:
    return Hello(version, name, host, f"machine of {host}", instance, "0.1.0", 1234, ["/var/log"], ["/var/log/*.log"])


@contextlib.contextmanager
def registered(server: RunningServer, greeting: Hello) -> Iterator[ClientConnection]:
    with dialled(server) as connection:
        connection.send(frames.encode(greeting))
        assert isinstance(frames.from_server(connection.recv(_WAIT_SECONDS)), Welcome)
        yield connection


def closed(connection: ClientConnection) -> tuple[int, str]:
    """The code and the reason with which the server closes."""
    for _ in iter(lambda: _received(connection), None):
        pass
    assert connection.close_code is not None
    return connection.close_code, connection.close_reason or ""


def _received(connection: ClientConnection) -> bytes | str | None:
    """The next message, None when the connection is closed."""
    try:
        return connection.recv(_WAIT_SECONDS)
    except ConnectionClosed:
        return None


def shown(server: RunningServer, name: str) -> dict[str, Any]:
    agents = server.client.get("/api/v1/agents").json()["agents"]
    found: dict[str, Any] = next(agent for agent in agents if agent["name"] == name)
    return found


def refused(server: RunningServer, headers: dict[str, str]) -> tuple[int, bytes]:
    with pytest.raises(InvalidStatus) as raised, dialled(server, headers):
        pass
    return raised.value.response.status_code, bytes(raised.value.response.body or b"")


def test_who_has_no_token_cannot_open_one(server: RunningServer) -> None:
    token = (server.data / "TOKEN").read_text().strip()
    status, body = refused(server, FORWARDED)
    assert (status, b"a token is needed" in body) == (401, True)
    assert refused(server, FORWARDED | {"Authorization": "Bearer wrong"})[0] == 401
    assert refused(server, {"Origin": "http://evil.example"})[0] == 403
    assert refused(server, {"Host": "evil.example"})[0] == 403
    with dialled(server, FORWARDED | {"Authorization": f"Bearer {token}"}) as connection:
        connection.send(frames.encode(hello(next(_names))))
        assert isinstance(frames.from_server(connection.recv(_WAIT_SECONDS)), Welcome)


BAD_FIRST_FRAMES: list[bytes | str] = [
    b"",
    b"\xc1",
    b"\xdd\xff\xff\xff\xff",
    b"\x91" * 2000,
    "text",
    frames.encode({"version": 1}),
    frames.encode(Beat([], 0)),
    frames.encode(End(1, None)),
    frames.encode(hello("x", version=2)),
    frames.encode(hello("")),
    frames.encode(hello("*")),
    frames.encode(hello("x\ny")),
    frames.encode(hello("x y")),
    frames.encode(hello("x\u202e")),
    frames.encode(hello("x" * 256)),
    frames.encode(hello("x" * 70_000)),
    frames.encode(msgspec.structs.replace(hello("x"), roots=["/a"] * 21)),
    frames.encode(msgspec.structs.replace(hello("x"), follows=["/" * 201])),
    frames.encode(["hello", 1, 2, 3, 4, 5, 6, 7, 8, 9]),
]


@pytest.mark.parametrize("frame", BAD_FIRST_FRAMES, ids=range(len(BAD_FIRST_FRAMES)))
def test_who_does_not_say_who_it_is_is_sent_away(server: RunningServer, frame: bytes | str) -> None:
    with dialled(server) as connection:
        connection.send(frame)
        code, reason = closed(connection)
    assert code == BAD_FRAME
    assert reason


BAD_FRAMES: list[bytes | str] = [
    b"\xc1",
    "text",
    frames.encode(Piece(1, b"nothing asked for this")),
    frames.encode(Piece(0, b"x")),
    frames.encode(Piece(-1, b"x")),
    frames.encode(Piece(2**63, b"x")),
    frames.encode(End(7, None)),
    frames.encode(frames.Ask(1, "logs", b"", True, "")),
    frames.encode(["piece", "1", b"x"]),
    frames.encode(["beat", [["/a", "text", -1, 0, 0, "", 0]], 0]),
    frames.encode(["beat", [["/a", "text", 1, 2**64 - 1, 0, "", 0]], 0]),
    frames.encode(["beat", [["/a", "text", 1, 1, 2**63 - 1, "", 0]], 0]),
    frames.encode(["beat", [["/a", "text", 1, 1, 1, "", 0, "", "", float("nan")]], 0]),
    frames.encode(["beat", 1, 1]),
    frames.encode(Beat([AgentSource("/a", "text", 1, 1, 1, "", 0)] * (frames.MAX_SOURCES + 1), 0)),
    frames.encode(Beat([AgentSource("/a" * 500, "text", 1, 1, 1, "", 0)] * 800, 0)),
]


@pytest.mark.parametrize("frame", BAD_FRAMES, ids=range(len(BAD_FRAMES)))
def test_what_no_agent_says_closes_the_channel(server: RunningServer, frame: bytes | str) -> None:
    name = next(_names)
    with registered(server, hello(name)) as connection:
        connection.send(frame)
        assert closed(connection)[0] == BAD_FRAME
    assert shown(server, name)["connected"] is False


def test_a_huge_message_closes_the_channel(server: RunningServer) -> None:
    with registered(server, hello(next(_names))) as connection:
        with contextlib.suppress(ConnectionClosed):
            connection.send(b"x" * (frames.MAX_FRAME_BYTES + 1))
        assert closed(connection)[0] == _TOO_BIG


@given(st.binary(max_size=300))
@settings(max_examples=300)
@within_cpu_time
def test_whatever_comes_is_a_frame_or_a_bad_request(message: bytes) -> None:
    for decode in (frames.from_agent, frames.from_server):
        with contextlib.suppress(BadRequest):
            decode(message)


def test_beats_are_shown(server: RunningServer) -> None:
    name = next(_names)
    source = AgentSource(
        "/var/log/x.log", "text", 10, 25, 1_700_000_000_000_000_000, "", 1, "/var/log/x.log", "id", 3.5
    )
    with registered(server, hello(name)) as connection:
        connection.send(frames.encode(Beat([source], 4)))
        wait_until_shown(server, name, "sources_left_out", 4)
        agent = shown(server, name)
    assert (agent["lag_bytes"], agent["version"], agent["pid"]) == (15, "0.1.0", 1234)
    assert agent["sources"][0]["last_event"] == "2023-11-14T22:13:20Z"
    wait_until_shown(server, name, "connected", False)


def wait_until_shown(server: RunningServer, name: str, key: str, value: object) -> None:
    give_up_at = time.monotonic() + _WAIT_SECONDS
    while shown(server, name)[key] != value:
        assert time.monotonic() < give_up_at, shown(server, name)
        time.sleep(0.02)


def test_a_beat_has_room_for_those_in_trouble_first() -> None:
    fine = [AgentSource(f"/{number}{'x' * 4000}", "text", 1, 1, 0, "", 0) for number in range(200)]
    broken = AgentSource("/broken", "text", 1, 1, 0, "cannot be read", 0)
    beat = frames.from_agent(frames.beat_of([*fine, broken]))
    assert isinstance(beat, Beat)
    assert beat.sources[0] == broken
    assert len(beat.sources) + beat.left_out == 201
    assert 0 < beat.left_out < 201


def test_another_machine_does_not_get_a_name_that_is_taken(server: RunningServer) -> None:
    name = next(_names)
    with registered(server, hello(name, "first")) as first:
        with dialled(server) as second:
            second.send(frames.encode(hello(name, "second", "2")))
            code, reason = closed(second)
        assert code == NAME_TAKEN
        assert "'first'" in reason
        problem = shown(server, name)["problem"]
        assert "on 'first' (pid 1234) and on 'second' (pid 1234)" in problem
        assert problem in str(server.status()["problems"])
        first.send(frames.encode(Beat([], 0)))
        assert shown(server, name)["host"] == "first"


def test_an_agent_that_is_started_again_gets_its_name_at_once(server: RunningServer) -> None:
    name = next(_names)
    with registered(server, hello(name, instance="1")) as first:
        with registered(server, hello(name, instance="2")) as second:
            assert closed(first)[0] == NAME_TAKEN
            # The first comes back, so both live: it is the one that has to go.
            with dialled(server) as again:
                again.send(frames.encode(hello(name, instance="1")))
                assert closed(again)[0] == NAME_TAKEN
            second.send(frames.encode(Beat([], 9)))
            wait_until_shown(server, name, "sources_left_out", 9)
            assert "two agents are called" in shown(server, name)["problem"]
        with registered(server, hello(name, instance="2")):
            assert shown(server, name)["connected"] is True


def test_three_that_live_do_not_take_the_name_from_each_other_in_turn(server: RunningServer) -> None:
    name = next(_names)
    one, two, three = (hello(name, instance=instance) for instance in "123")
    with registered(server, one) as first, registered(server, two) as second:
        assert closed(first)[0] == NAME_TAKEN
        with registered(server, three):
            assert closed(second)[0] == NAME_TAKEN
            for greeting in (one, two):
                with dialled(server) as again:
                    again.send(frames.encode(greeting))
                    assert closed(again)[0] == NAME_TAKEN
            assert "two agents are called" in shown(server, name)["problem"]


def ask(server: RunningServer, name: str) -> httpx.Response:
    with httpx.Client(base_url=server.url, timeout=_WAIT_SECONDS, trust_env=False) as client:
        return client.get("/logs", params={"hostname": name, "filename": "x"}, headers={"traceparent": TRACEPARENT})


TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def next_ask(agent: ClientConnection) -> frames.Ask:
    frame = frames.from_server(agent.recv(_WAIT_SECONDS))
    assert isinstance(frame, frames.Ask)
    return frame


def test_an_answer_in_pieces_and_the_caller_s_trace(server: RunningServer) -> None:
    name = next(_names)
    with registered(server, hello(name)) as agent, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(ask, server, name)
        asked = next_ask(agent)
        assert (asked.kind, asked.has_token) == ("logs", False)
        assert asked.traceparent.split("-")[1] == TRACEPARENT.split("-")[1]
        for text in (b"two\n", b"one\n"):
            agent.send(frames.encode(Piece(asked.id, text)))
            assert frames.from_server(agent.recv(_WAIT_SECONDS)) == More(asked.id, 1)
        agent.send(frames.encode(End(asked.id, None)))
        assert (answer.result().status_code, answer.result().text) == (200, "two\none\n")


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (Failure(404, "not_found", "no such thing", None, 0), 404),
        (Failure(429, "overloaded", "busy", None, 7), 429),
        (Failure(299, "odd", "x" * 5000, None, 0), 500),
    ],
)
def test_a_failure_is_an_answer(server: RunningServer, failure: Failure, status: int) -> None:
    name = next(_names)
    with registered(server, hello(name)) as agent, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(ask, server, name)
        agent.send(frames.encode(End(next_ask(agent).id, failure)))
        assert answer.result().status_code == status
        assert answer.result().json()["error"]["message"] == failure.message[:1000]
        assert answer.result().headers.get("retry-after") == ("7" if status == 429 else None)


@pytest.mark.parametrize("piece", [b"", b"x" * (frames.PIECE_BYTES + 1)])
def test_a_piece_of_no_allowed_size_closes_the_channel(server: RunningServer, piece: bytes) -> None:
    name = next(_names)
    with registered(server, hello(name)) as agent, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(ask, server, name)
        agent.send(frames.encode(Piece(next_ask(agent).id, piece)))
        assert closed(agent)[0] == BAD_FRAME
        assert answer.result().status_code == 503
        assert answer.result().json()["error"]["message"] == f"agent {name!r} vanished"


def test_an_agent_is_told_who_left(server: RunningServer) -> None:
    name = next(_names)
    with registered(server, hello(name)) as agent, ThreadPoolExecutor(1) as pool:
        left = pool.submit(left_early, server, {"hostname": name, "filename": "x"})
        number = next_ask(agent).id
        agent.send(frames.encode(Piece(number, b"first\n")))
        assert left.result() == b"first\n"
        assert frames.from_server(agent.recv(_WAIT_SECONDS)) == More(number, 1)
        assert frames.from_server(agent.recv(_WAIT_SECONDS)) == Cancel(number)
        # What was on its way is no offence.
        agent.send(frames.encode(Piece(number, b"late\n")))
        agent.send(frames.encode(End(number, None)))
        agent.send(frames.encode(Beat([], 3)))
        wait_until_shown(server, name, "sources_left_out", 3)


def left_early(server: RunningServer, wanted: dict[str, str]) -> bytes:
    """The first piece of an answer whose client then leaves."""
    with (
        httpx.Client(base_url=server.url, timeout=_WAIT_SECONDS, trust_env=False) as client,
        client.stream("GET", "/logs", params=wanted) as answer,
    ):
        return next(answer.iter_bytes())


def send_again_and_again(agent: ClientConnection, message: bytes, times: int) -> None:
    for _ in range(times):
        agent.send(message)


def test_pieces_without_leave_close_the_channel(server: RunningServer) -> None:
    """A client that reads nothing: the agent may not send on, and one that does fills nothing."""
    name, place = next(_names), urlsplit(server.url)
    with (
        registered(server, hello(name)) as agent,
        socket.create_connection((place.hostname, place.port or 0)) as client,
    ):
        client.sendall(f"GET /logs?hostname={name}&filename=x HTTP/1.1\r\nHost: {place.netloc}\r\n\r\n".encode())
        piece = frames.encode(Piece(next_ask(agent).id, b"x" * frames.PIECE_BYTES))
        with pytest.raises(ConnectionClosed):
            # Far more than sockets hold.
            send_again_and_again(agent, piece, 400)
        assert closed(agent) == (BAD_FRAME, "a piece without leave")
    assert server.status()["stored"] is not None
