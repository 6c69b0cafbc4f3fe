"""The agent's end of its channel: it dials out, says who it is, and answers the server's requests until it is stopped.

The agent never listens, so it works behind NAT, and nobody has to write down where it is. One connection at a time is
kept open; when it is lost, it is made again after a wait that grows and is never quite the same, so that many agents do
not come back to a server that was restarted in one moment.
"""

import asyncio
import logging
import os
import random
import secrets
import socket
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.http11 import Response

from logriver import __version__, clock
from logriver.errors import BadRequest
from logriver.ship import frames
from logriver.ship.address import address, bearer
from logriver.ship.answering import AnswerAsk, Answering
from logriver.ship.frames import (
    BEAT_SECONDS,
    CHANNEL_PATH,
    MAX_FRAME_BYTES,
    SILENT_SECONDS,
    AgentSource,
    Hello,
    Welcome,
)

_FIRST_WAIT_SECONDS = 0.5
_LONGEST_WAIT_SECONDS = 15.0
_REFUSED_WAIT_SECONDS = 5.0
# A connection that lasted so long was good: the next wait is short again.
_GOOD_SECONDS = 10.0
_OPEN_SECONDS = 10.0
_MACHINE_ID = Path("/etc/machine-id")
_REFUSED = frozenset((frames.BAD_FRAME, frames.NAME_TAKEN, frames.NOT_NOW))

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Agent:
    """What an agent says of itself: its name, the roots below which it reads files, and the paths that it follows."""

    name: str
    roots: Sequence[str]
    follows: Sequence[str]


class _Error(msgspec.Struct):
    message: str


class _ErrorAnswer(msgspec.Struct):
    error: _Error


class Channel:
    """One for an agent. `sources` gives how far each file is followed, cheaply; `answer` answers requests.

    `problems` gives what the agent cannot do now, as cheaply.
    `opened_again` is called when a server has taken it after it was open before: it may be another than then.

    Raises `BadRequest` for an address that is none and for a token that cannot be sent.
    """

    def __init__(
        self,
        server_url: str,
        token: str,
        agent: Agent,
        answer: AnswerAsk,
        sources: Callable[[], list[AgentSource]],
        opened_again: Callable[[], None],
        problems: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        self._server = address(server_url)
        self._headers = bearer(token)
        self._hello = _hello(agent)
        self._answer = answer
        self._sources = sources
        self._on_opened_again = opened_again
        self._problems = problems
        self._was_open = False
        self._last_reason = ""

    async def run(self) -> None:
        """Keep the channel open until cancelled."""
        wait_seconds = _FIRST_WAIT_SECONDS
        while True:
            began = clock.monotonic()
            reason, was_refused = await self._once()
            if clock.monotonic() - began > _GOOD_SECONDS:
                wait_seconds = _FIRST_WAIT_SECONDS
            if was_refused:
                wait_seconds = max(wait_seconds, _REFUSED_WAIT_SECONDS)
            if reason != self._last_reason:
                log.warning("no channel to the server, trying again", extra={"fields": {"reason": reason}})
                self._last_reason = reason
            await asyncio.sleep(wait_seconds * random.uniform(0.5, 1.0))
            wait_seconds = min(2 * wait_seconds, _LONGEST_WAIT_SECONDS)

    async def _once(self) -> tuple[str, bool]:
        """One connection from its beginning to its end: why it ended, and whether the server refused this agent."""
        try:
            async with connect(
                f"ws{self._server.url.removeprefix('http').rstrip('/')}{CHANNEL_PATH}",
                additional_headers=self._headers,
                proxy=None if self._server.local else True,
                compression=None,
                max_size=MAX_FRAME_BYTES,
                open_timeout=_OPEN_SECONDS,
                close_timeout=1,
                ping_interval=SILENT_SECONDS / 2,
                ping_timeout=SILENT_SECONDS,
            ) as connection:
                return await self._converse(connection), False
        except ConnectionClosed as error:
            close = error.rcvd
            refused = close is not None and close.code in _REFUSED
            return (close.reason if close and close.reason else str(error)), refused
        except InvalidStatus as error:
            return _refusal(error.response), True
        except (OSError, TimeoutError, InvalidHandshake) as error:
            return str(error) or type(error).__name__, False

    async def _converse(self, connection: ClientConnection) -> str:
        """Say who we are, then beat and answer; gives why the agent ended that. Raises `ConnectionClosed`."""
        await connection.send(self._hello)
        answering = Answering(self._answer, connection.send)
        beat_at = clock.monotonic()
        try:
            while True:
                if clock.monotonic() >= beat_at:
                    await connection.send(frames.beat_of(self._sources(), self._problems()))
                    beat_at = clock.monotonic() + BEAT_SECONDS
                try:
                    async with asyncio.timeout(beat_at - clock.monotonic()):
                        message = await connection.recv()
                except TimeoutError:
                    continue
                frame = frames.from_server(message)
                if isinstance(frame, Welcome):
                    self._opened()
                else:
                    await answering.take(frame)
        except BadRequest as error:
            await connection.close(frames.BAD_FRAME, error.message[:100])
            return error.message
        finally:
            await answering.close()

    def _opened(self) -> None:
        log.info("the channel to the server is open")
        self._last_reason = ""
        if self._was_open:
            self._on_opened_again()
        self._was_open = True


def _refusal(answer: Response) -> str:
    """What the server's access control, or whatever else is there, says instead of opening the channel."""
    body = bytes(answer.body or b"")
    try:
        return f"the server says: {msgspec.json.decode(body, type=_ErrorAnswer).error.message}"
    except (msgspec.DecodeError, UnicodeDecodeError):
        return f"status {answer.status_code} where the channel should be: {body[:200]!r}"


def _hello(agent: Agent) -> bytes:
    machine = ""
    with suppress(OSError):
        machine = _MACHINE_ID.read_text().strip()
    return frames.encode(
        Hello(
            frames.VERSION,
            agent.name,
            socket.gethostname(),
            machine,
            secrets.token_hex(8),
            __version__,
            os.getpid(),
            _cut(agent.roots),
            _cut(agent.follows),
        )
    )


def _cut(paths: Sequence[str]) -> list[str]:
    return [path[: frames.MAX_PATH_LENGTH] for path in paths[: frames.MAX_PATHS]]
