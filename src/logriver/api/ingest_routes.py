"""The addresses of the ingest endpoints, as the router has to know them.

Their calls are answered before the router (`server.py`). What is left for it is another method, which is a 405 that
names the right one and not an address that nothing has, and a slash too many, which leads to the address without it.
"""

from collections.abc import Sequence

from fastapi import APIRouter
from starlette.responses import Response

from logriver.errors import LogriverError
from logriver.ingest.endpoint import Route


def router(ingest: Sequence[Route]) -> APIRouter:
    """The routes; `docs.py` describes them in their own words."""
    routes = APIRouter(include_in_schema=False)
    for path in sorted({route.path for route in ingest}):
        methods = sorted(route.method for route in ingest if route.path == path)
        routes.add_api_route(path, _answered_before, methods=methods)
    return routes


async def _answered_before() -> Response:
    raise LogriverError("a call of an ingest endpoint was not answered where it should be")
