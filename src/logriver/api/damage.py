"""`/api/v1/damage`: what of the log could not be read, until somebody says that they have seen it."""

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from logriver import clock
from logriver.api import answers
from logriver.errors import NotFound
from logriver.queue.damage import Damage, Damages

_MAX_DIGITS = 18


def router(damages: Damages) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["damage"])

    @routes.get(
        "/api/v1/damage", summary="Damage to the log that nobody has acknowledged: files, numbers, records lost"
    )
    async def get_damage() -> Response:
        return answers.json({"damage": [_shown(damage) for damage in damages.open()]})

    @routes.post("/api/v1/damage/{id}/acknowledge", summary="Say that it was seen: it is shown no more")
    async def post_acknowledge(id: str) -> Response:
        number = int(id) if id.isascii() and id.isdigit() and len(id) <= _MAX_DIGITS else 0
        damage = await run_in_threadpool(damages.acknowledge, number)
        if damage is None:
            raise NotFound(f"there is no damage {id[:60]!r} that is not acknowledged")
        return answers.json({"id": str(damage.id), "acknowledged": True})

    return routes


def _shown(damage: Damage) -> dict[str, object]:
    return {
        "id": str(damage.id),
        "found": clock.to_text(damage.found_ns),
        "file": damage.file,
        "what": damage.what,
        "loss": damage.loss,
        "first_seq": damage.first_seq,
        "last_seq": damage.last_seq,
        "records": damage.records,
        "exact": damage.exact,
    }
