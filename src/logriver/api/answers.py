"""JSON answers, encoded by msgspec."""

from collections.abc import Mapping, Sequence

import msgspec
from starlette.responses import Response

from logriver import clock
from logriver.api import tracing
from logriver.search.cost import Cost

_encode = msgspec.json.Encoder().encode


def json(content: object, status: int = 200) -> Response:
    """`content` as a JSON answer; bytes that are JSON already go in as `msgspec.Raw`."""
    rows = content.get("rows", content.get("results")) if isinstance(content, Mapping) else content
    if isinstance(rows, list):
        tracing.note_rows(rows)
    return Response(_encode(content), status_code=status, media_type="application/json")


def measured(content: Mapping[str, object], cost: Cost, started: float) -> Response:
    """`content` with the `stats` of an answer that began at `started`, by the monotonic clock."""
    elapsed_ms = round(1000 * (clock.monotonic() - started), 3)
    stats = {"elapsed_ms": elapsed_ms, "rows_read": cost.rows_read, "bytes_read": cost.bytes_read}
    return json({**content, **incomplete(cost.incomplete), "stats": stats})


def incomplete(without: Sequence[str]) -> dict[str, object]:
    """The key that says what an answer is without, if it is without anything."""
    return {"incomplete": list(without)} if without else {}
