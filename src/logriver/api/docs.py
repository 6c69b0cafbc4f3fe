"""`/docs`: the calls described, with Swagger's page served from here so that it works offline; `/openapi.json`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.responses import FileResponse, Response

from logriver.api import answers, errors, pages
from logriver.auth.refusal import LOGIN_PATH
from logriver.ingest.endpoint import Route

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


def router(app: FastAPI, ingest: Sequence[Route]) -> APIRouter:
    """The routes that describe `app` and, which FastAPI does not see, the ingest endpoints."""
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
        return answers.json(_description(app, ingest))

    return routes


def _description(app: FastAPI, ingest: Sequence[Route]) -> dict[str, Any]:
    described = app.openapi()
    paths = {
        path: {method: _call(path, call) for method, call in calls.items()}
        for path, calls in described["paths"].items()
    }
    return {**described, "paths": {**paths, **_described(ingest)}, "components": {}}


def _call(path: str, call: dict[str, Any]) -> dict[str, Any]:
    """The call with its refusals as `errors.py` makes them, not as FastAPI would."""
    good = {status: answer for status, answer in call["responses"].items() if status != "422"}
    # Who logs in is a person, who gets a page.
    content = {"text/html": {}} if path == LOGIN_PATH else {"application/json": {"schema": errors.schema(path)}}
    refused = {"description": "what is wrong, in words", "content": content}
    return {**call, "responses": {**good, "4XX": refused}}


def _described(ingest: Sequence[Route]) -> dict[str, dict[str, Any]]:
    """The calls of the ingest endpoints, by path and method."""
    paths: dict[str, dict[str, Any]] = {}
    for route in ingest:
        if route.description is not None:
            paths.setdefault(route.path, {})[route.method.lower()] = route.description
    return paths
