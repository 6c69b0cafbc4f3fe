"""`/docs`: the calls described, with Swagger's page served from here so that it works offline; `/openapi.json`."""

from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.responses import FileResponse, Response

from logriver.api import answers, errors, pages
from logriver.auth.refusal import LOGIN_PATH
from logriver.decode.formats import FORMATS
from logriver.decode.wire.ranges import CONTENT_TYPE

_ASSETS = Path(__file__).parent / "docs_assets"
_SCRIPT, _STYLE, _START = "swagger-ui-bundle.js", "swagger-ui.css", "start.js"

_POLICY = "script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'"
_START_SCRIPT = 'SwaggerUIBundle({url: "/openapi.json", dom_id: "#calls", deepLinking: true})'
_PAGE = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Logriver API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/docs/{_STYLE}">
</head>
<body>
<div id="calls"></div>
<footer class="swagger-ui"><div class="wrapper"><a href="{LOGIN_PATH}">Log in or out</a></div></footer>
<script src="/docs/{_SCRIPT}"></script>
<script src="/docs/{_START}"></script>
</body>
</html>
"""


def router(app: FastAPI) -> APIRouter:
    """The routes that describe `app` and the ways in beside it."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/docs")
    async def get_docs() -> Response:
        return pages.page(_PAGE, _POLICY)

    @routes.get(f"/docs/{_SCRIPT}")
    async def get_script() -> Response:
        return FileResponse(_ASSETS / _SCRIPT, media_type="text/javascript")

    @routes.get(f"/docs/{_START}")
    async def get_start_script() -> Response:
        return Response(_START_SCRIPT, media_type="text/javascript")

    @routes.get(f"/docs/{_STYLE}")
    async def get_style() -> Response:
        return FileResponse(_ASSETS / _STYLE, media_type="text/css")

    @routes.get("/openapi.json")
    async def get_description() -> Response:
        return answers.json(_description(app))

    return routes


def _description(app: FastAPI) -> dict[str, Any]:
    described = app.openapi()
    paths = {
        path: {method: _call(path, call) for method, call in calls.items()}
        for path, calls in described["paths"].items()
    }
    # The ways in are plain ASGI, which FastAPI does not see.
    return {**described, "paths": {**paths, **_WAYS_IN}, "components": {}}


def _call(path: str, call: dict[str, Any]) -> dict[str, Any]:
    """The call with its refusals as `errors.py` makes them, not as FastAPI would."""
    good = {status: answer for status, answer in call["responses"].items() if status != "422"}
    # Who logs in is a person, who gets a page.
    content = {"text/html": {}} if path == LOGIN_PATH else {"application/json": {"schema": errors.schema(path)}}
    refused = {"description": "what is wrong, in words", "content": content}
    return {**call, "responses": {**good, "4XX": refused}}


def _way_in(summary: str, answers_by_status: dict[str, str], parameters: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "post": {
            "tags": ["ingest"],
            "summary": summary,
            "parameters": parameters,
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {"schema": {}, "example": _EXAMPLE},
                    "application/x-ndjson": {"schema": {"type": "string"}},
                },
            },
            "responses": {status: {"description": meaning} for status, meaning in answers_by_status.items()},
        }
    }


_EXAMPLE = {
    "level": "error",
    "message": "Failed to connect to DB",
    "resourceId": "server-1234",
    "timestamp": "2023-09-15T08:00:00Z",
    "traceId": "abc-xyz-123",
    "spanId": "span-456",
    "commit": "5e5342f",
    "metadata": {"parentResourceId": "server-0987"},
}
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "schema": {"type": "string"},
    "description": "the same key with the same body is stored once",
}
_ENCODING = {
    "name": "Content-Encoding",
    "in": "header",
    "schema": {"type": "string", "enum": ["gzip", "zstd"]},
    "description": "how the body is compressed",
}
_WAIT = {
    "name": "wait",
    "in": "query",
    "schema": {"type": "string", "enum": ["searchable"]},
    "description": "answer only when the records can be found, or after 10 s",
}
_FORMAT = {
    "name": "format",
    "in": "query",
    "schema": {"type": "string", "enum": ["auto", *FORMATS]},
    "description": "the body is lines as in a file of this format; `auto`: the format is recognised",
}
_ZONE = {
    "name": "zone",
    "in": "query",
    "schema": {"type": "string"},
    "description": "with `format`: the zone of times that name none, else the server's",
}
_SERVICE = {
    "name": "service",
    "in": "query",
    "schema": {"type": "string"},
    "description": "with `format`: the service of records that name none",
}
_MULTILINE = {
    "name": "multiline",
    "in": "query",
    "schema": {"type": "string", "enum": ["indent"]},
    "description": "with `format`: lines that begin with a blank, or as in a stack trace, belong to the one before",
}
_REFUSALS = {
    "413": "the body or a record is too large",
    "415": "an unknown Content-Encoding",
    "429": "too much is waiting; `Retry-After` says when to come back",
    "503": "the disk does not take it now; `Retry-After` says when to come back",
}
_AGENTS_MESSAGE = {CONTENT_TYPE: {"schema": {"type": "string", "format": "binary"}}}
_RANGES = {
    "get": {
        "tags": ["agents"],
        "summary": "For agents: what is held of each file that a follower has seen",
        "parameters": [{"name": "follower", "in": "query", "required": True, "schema": {"type": "string"}}],
        "responses": {"200": {"description": "the ledger", "content": _AGENTS_MESSAGE}},
    },
    "post": {
        "tags": ["agents"],
        "summary": "For agents: store the lines of a range of a file",
        "parameters": [_ENCODING],
        "requestBody": {"required": True, "content": _AGENTS_MESSAGE},
        "responses": {
            "200": {"description": "on disk: the receipt"},
            "400": {"description": "not a batch of a format that is known here, or a row that cannot be"},
            "409": {"description": "the range does not begin where what is held ends; the answer says where that is"},
            **{status: {"description": meaning} for status, meaning in _REFUSALS.items()},
        },
    },
}
_WAYS_IN = {
    "/api/v1/logs": _way_in(
        "Send logs: an object, an array, NDJSON, objects one after the other, or lines of text",
        {
            "200": "on disk: how many were accepted and rejected, with reasons",
            "400": "nothing was acceptable",
            "422": "the idempotency key came before with another body",
            **_REFUSALS,
        },
        [_KEY, _ENCODING, _WAIT, _FORMAT, _ZONE, _SERVICE, _MULTILINE],
    ),
    "/": _way_in(
        "Send logs, all or nothing, as the log ingestor took them",
        {"200": "on disk", "400": "reasons for each field", **_REFUSALS},
        [_ENCODING],
    ),
    "/logs/ingest/": _way_in(
        "Send logs as LogIngestor took them",
        {"200": "on disk", "400": "nothing was acceptable", **_REFUSALS},
        [_ENCODING],
    ),
    "/api/v1/ranges": _RANGES,
}
