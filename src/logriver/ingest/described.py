"""What the calls of several endpoints have in common, as OpenAPI describes it (`Route.description`)."""

from collections.abc import Mapping, Sequence
from typing import Any


def parameter(name: str, description: str, values: Sequence[str] = (), *, place: str = "query") -> dict[str, Any]:
    """A text in the address or in the `place`, one of `values` if there are any."""
    schema = {"type": "string", "enum": [*values]} if values else {"type": "string"}
    return {"name": name, "in": place, "schema": schema, "description": description}


ENCODING = parameter("Content-Encoding", "how the body is compressed", ("gzip", "zstd"), place="header")

REFUSALS = {
    "413": "the body or a record is too large",
    "415": "an unknown Content-Encoding",
    "429": "too much is waiting; `Retry-After` says when to come back",
    "503": "the disk does not take it now; `Retry-After` says when to come back",
}

EXAMPLE = {
    "level": "error",
    "message": "Failed to connect to DB",
    "resourceId": "server-1234",
    "timestamp": "2023-09-15T08:00:00Z",
    "traceId": "abc-xyz-123",
    "spanId": "span-456",
    "commit": "5e5342f",
    "metadata": {"parentResourceId": "server-0987"},
}


def json_call(
    summary: str, answers: Mapping[str, str], parameters: tuple[Mapping[str, Any], ...] = (ENCODING,)
) -> dict[str, Any]:
    """A call that takes records as JSON; `answers` are meanings by status, beside `REFUSALS`."""
    return {
        "tags": ["ingest"],
        "summary": summary,
        "parameters": list(parameters),
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": {}, "example": EXAMPLE},
                "application/x-ndjson": {"schema": {"type": "string"}},
            },
        },
        "responses": responses({**answers, **REFUSALS}),
    }


def responses(answers: Mapping[str, str]) -> dict[str, Any]:
    """Meanings by status as OpenAPI has them."""
    return {status: {"description": meaning} for status, meaning in answers.items()}
