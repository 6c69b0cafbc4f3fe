"""The client's side of another Logriver: its address, what its answers mean to a follower, why a channel ended."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator

import pytest
from websockets.asyncio.server import ServerConnection, serve

from logriver.errors import BadBody, BadRequest, Overloaded, Unavailable
from logriver.ship.address import address
from logriver.ship.channel import Agent, Channel
from logriver.ship.server_sink import ServerSink

_WAIT_SECONDS = 30


@pytest.mark.parametrize(
    ("given", "url", "local"),
    [
        ("HTTP://h:1", "http://h:1", False),
        ("HTTPS://LocalHost/x", "https://LocalHost/x", True),
        ("127.0.0.1:3000", "http://127.0.0.1:3000", True),
        ("[::1]:3000", "http://[::1]:3000", True),
    ],
)
def test_addresses_as_users_write_them(given: str, url: str, local: bool) -> None:
    place = address(given)
    assert (place.url, place.local) == (url, local)


@pytest.mark.parametrize("given", ["http://h:x", "http://h:99999", "h:-1", "ws://h", "http://", ""])
def test_what_is_no_address_is_refused(given: str) -> None:
    with pytest.raises(BadRequest, match="not a server address"):
        address(given)


@contextlib.asynccontextmanager
async def answering(status: int) -> AsyncIterator[str]:
    """The URL of a server that gives every request this answer."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {status} x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def asked(status: int) -> None:
    async with answering(status) as url:
        sink = ServerSink(url)
        try:
            await sink.known("me")
        finally:
            await sink.close()


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_trouble_of_the_server_is_a_reason_to_put_the_same_again(status: int) -> None:
    with pytest.raises(Overloaded, match=str(status)):
        asyncio.run(asked(status))


@pytest.mark.parametrize("status", [400, 404, 413, 415, 422])
def test_what_the_server_refuses_is_not_its_trouble_and_said_by_who_sent_it(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(BadBody, match=str(status)):
        asyncio.run(asked(status))
    assert caplog.records == []


def test_why_the_agent_itself_ended_the_channel_is_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)

    async def odd(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.send("no frame")
        await connection.wait_closed()

    async def until_said() -> None:
        async with serve(odd, "127.0.0.1", 0) as server, asyncio.timeout(_WAIT_SECONDS):
            url = f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
            channel = Channel(url, "", Agent("me", [], []), _no_answer, list, lambda: None)
            running = asyncio.create_task(channel.run())
            while not caplog.records:  # noqa: ASYNC110 -- nothing tells of a record
                await asyncio.sleep(0.01)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    asyncio.run(until_said())
    assert [vars(record)["fields"]["reason"] for record in caplog.records] == ["a text message where frames are binary"]


def _no_answer(_: object) -> AsyncGenerator[bytes, None]:
    raise Unavailable("nothing is answered")
