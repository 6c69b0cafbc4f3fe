"""`/api/v1/dead-letters`: what was taken and could not be stored, and trying it again."""

import base64
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from logriver import clock
from logriver.api import answers, parameters
from logriver.api.replay import Replay
from logriver.errors import BadRequest, NotFound
from logriver.queue.base import DeadLetter
from logriver.queue.dead_letters import DeadLetters
from logriver.record import MAX_SEQ

MAX_LIMIT = 1000
_DEFAULT_LIMIT = "100"


def router(dead_letters: DeadLetters, replay: Replay, max_record_bytes: int) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["dead letters"])

    @routes.get("/api/v1/dead-letters", summary="What was taken and could not be stored, newest first")
    async def get_dead_letters(
        limit: Annotated[str, Query(description=f"dead letters, 1 to {MAX_LIMIT}")] = _DEFAULT_LIMIT,
        cursor: Annotated[str, Query(description="the cursor of the page before")] = "",
    ) -> Response:
        at_most, before = _limit(limit), _cursor(cursor)
        page = await run_in_threadpool(dead_letters.page, before, at_most)
        return answers.json({"dead_letters": [_shown(dead_letter) for dead_letter in page], "cursor": _next(page)})

    described = {"requestBody": {"required": False, "content": {"application/json": {"schema": {}}}}}

    @routes.post(
        "/api/v1/dead-letters/{id}/replay",
        summary="Read a dead letter again, or the corrected record in the body, and store it",
        openapi_extra=described,
    )
    async def post_replay(id: str, request: Request) -> Response:
        seq = _number(id)
        if seq is None:
            raise NotFound(f"there is no dead letter {id[:60]!r}")
        corrected = await parameters.read_body(request, max_record_bytes)
        receipt = await replay.run(seq, corrected)
        return answers.json({"id": id, "accepted": receipt.accepted})

    return routes


def _shown(dead_letter: DeadLetter) -> dict[str, object]:
    """A dead letter as it is given out; bytes that are no text also as what they are."""
    shown: dict[str, object] = {
        "id": str(dead_letter.seq),
        "reason": dead_letter.reason,
        "source": dead_letter.source,
        "received": clock.to_text(dead_letter.received_ns),
        "raw": dead_letter.raw.decode(errors="replace"),
    }
    try:
        dead_letter.raw.decode()
    except UnicodeDecodeError:
        shown["raw_base64"] = base64.b64encode(dead_letter.raw).decode()
    return shown


def _next(page: list[DeadLetter]) -> str | None:
    """Where the next page begins. A page may be short of its limit, so only an empty one is the last."""
    return str(page[-1].seq) if page else None


def _limit(text: str) -> int:
    number = _number(text)
    if number is None or not 1 <= number <= MAX_LIMIT:
        raise BadRequest(f"parameter 'limit' is a number from 1 to {MAX_LIMIT}, not {text[:60]!r}")
    return number


def _cursor(text: str) -> int | None:
    number = _number(text)
    if text and number is None:
        raise BadRequest(f"parameter 'cursor' is none that was given: {text[:60]!r}")
    return number


def _number(text: str) -> int | None:
    if not text.isascii() or not text.isdigit() or len(text) > len(str(MAX_SEQ)):
        return None
    return int(text)
