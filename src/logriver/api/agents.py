"""`/api/v1/agents`: which agents there are; and the address that they dial, where each keeps a WebSocket open."""

import asyncio
import logging

from fastapi import APIRouter
from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketState

from logriver.api import answers
from logriver.errors import BadRequest, BodyTimeout, LogriverError, NameTaken
from logriver.federated.agent_registry import Agents
from logriver.ship import frames
from logriver.ship.frames import CHANNEL_PATH, Hello

_HELLO_SECONDS = 10.0
_CLOSE_SECONDS = 1.0
# What a close frame has space for.
_MAX_REASON_BYTES = 120
_NORMAL_CLOSURE = 1000

log = logging.getLogger(__name__)


def router(agents: Agents) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["agents"])

    @routes.get("/api/v1/agents", summary="Agents: who is connected, who was, and what each follows")
    async def get_agents() -> Response:
        return answers.json({"agents": agents.shown()})

    @routes.websocket(CHANNEL_PATH)
    async def keep_channel(socket: WebSocket) -> None:
        await socket.accept()
        code, reason = _NORMAL_CLOSURE, ""
        try:
            hello = await _hello(socket)
            if hello is not None:
                await agents.serve(socket, hello)
        except LogriverError as error:
            log.warning("a channel ended", extra={"fields": {"reason": error.message, "peer": socket.client}})
            code, reason = _code(error), error.message
        await _close(socket, code, reason)

    return routes


async def _hello(socket: WebSocket) -> Hello | None:
    """The agent's first frame; None if it left before. Raises `BadRequest`, `BodyTimeout`."""
    try:
        async with asyncio.timeout(_HELLO_SECONDS):
            message = await socket.receive()
    except TimeoutError:
        raise BodyTimeout(f"no frame came for {_HELLO_SECONDS:.0f} s") from None
    if message["type"] == "websocket.disconnect":
        return None
    given = message.get("bytes") or b""
    if len(given) > frames.MAX_HELLO_BYTES:
        raise BadRequest(f"a first frame has at most {frames.MAX_HELLO_BYTES} bytes")
    hello = frames.from_agent(given)
    if not isinstance(hello, Hello):
        raise BadRequest("the first frame does not say who the agent is")
    return hello


def _code(error: LogriverError) -> int:
    if isinstance(error, NameTaken):
        return frames.NAME_TAKEN
    return frames.BAD_FRAME if isinstance(error, BadRequest) else frames.NOT_NOW


async def _close(socket: WebSocket, code: int, reason: str) -> None:
    """Say why, to an agent that still listens."""
    if socket.client_state is not WebSocketState.CONNECTED or socket.application_state is not WebSocketState.CONNECTED:
        return
    try:
        async with asyncio.timeout(_CLOSE_SECONDS):
            await socket.close(code, reason.encode()[:_MAX_REASON_BYTES].decode(errors="ignore"))
    except TimeoutError:
        log.info("an agent does not hear that its channel ends")
