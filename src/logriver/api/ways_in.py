"""The addresses of the ways in, as the router has to know them.

Their calls are answered before the router (`server.py`). What is left for it is another method, which is a 405 that
names the right one and not an address that nothing has, and a slash too many, which leads to the address without it.
"""

from fastapi import APIRouter
from starlette.responses import Response

from logriver.errors import LogriverError
from logriver.ingest.http import Receiver
from logriver.ingest.ranges import Ranges

_CALLS = {("POST", path) for path in Receiver.PATHS} | Ranges.CALLS


def router() -> APIRouter:
    """The routes; the description in `docs.py` has them in its own words."""
    routes = APIRouter(include_in_schema=False)
    for path in sorted({path for _, path in _CALLS}):
        methods = sorted(method for method, its_path in _CALLS if its_path == path)
        routes.add_api_route(path, _answered_before, methods=methods)
    return routes


async def _answered_before() -> Response:
    raise LogriverError("a way in was not answered where it should be")
