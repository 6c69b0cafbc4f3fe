"""JSON answers, encoded by msgspec."""

import msgspec
from starlette.responses import Response

_encode = msgspec.json.Encoder().encode


def json(content: object, status: int = 200) -> Response:
    """`content` as a JSON answer; bytes that are JSON already go in as `msgspec.Raw`."""
    return Response(_encode(content), status_code=status, media_type="application/json")
