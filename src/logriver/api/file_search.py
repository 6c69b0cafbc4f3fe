"""`/api/v1/files/search`: one search over the log files of all machines that nobody follows."""

import re
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BeforeValidator, Field
from starlette.requests import Request
from starlette.responses import Response

from logriver.api import parameters
from logriver.api.export import StreamAnswer
from logriver.errors import BadQuery, BadRequest
from logriver.federated.hosts import ALL, Hosts
from logriver.files.request import FileSearchRequest
from logriver.identity import principal_of
from logriver.query.language.parser import parse
from logriver.query.language.text import to_text
from logriver.query.match.row_match import holds
from logriver.query.pipes.row_pipes import row_pipes
from logriver.query.pipes.sort import Sort
from logriver.search.export import NDJSON
from logriver.search.search import MAX_LIMIT

# Events come when they come, not when there is enough to be compressed.
_HEADERS = {"Cache-Control": "no-store", "Content-Encoding": "identity"}
_DEFAULT_ROWS = 100
_DEFAULT_BYTES = 1_000_000_000


def _max_bytes(given: object) -> object:
    text = str(given) or str(_DEFAULT_BYTES)
    if not re.fullmatch("[0-9]{1,13}", text) or int(text) == 0:
        raise BadRequest(f"parameter 'max_bytes' is a number of bytes, from 1, not {text[:60]!r}")
    return int(text)


class FileSearchParameters(parameters.SearchParameters):
    """What a search over files can be asked with."""

    limit: Annotated[
        int,
        parameters.whole_number("limit", _DEFAULT_ROWS, MAX_LIMIT),
        Field(ge=1, le=MAX_LIMIT, description="rows"),
    ] = _DEFAULT_ROWS
    max_bytes: Annotated[
        int, BeforeValidator(_max_bytes), Field(ge=1, description="so much is read at most, of all machines together")
    ] = _DEFAULT_BYTES
    agent: Annotated[str, Field(description="one machine; all when absent")] = ALL


def router(hosts: Hosts, idle_seconds: float) -> APIRouter:
    """The route."""
    routes = APIRouter(tags=["files"])

    @routes.get(
        "/api/v1/files/search",
        summary="One search over the log files of all machines that nobody follows: events as JSON lines",
        response_class=Response,
        responses={200: {"content": {NDJSON: {}}}},
    )
    async def get_files_search(request: Request, given: Annotated[FileSearchParameters, Query()]) -> Response:
        has_credentials = principal_of(request.scope).has_credentials
        found = hosts.search(given.agent, _file_search_request(given), has_credentials)
        return StreamAnswer(found, NDJSON, idle_seconds, _HEADERS)

    return routes


def _file_search_request(given: FileSearchParameters) -> FileSearchRequest:
    """What the parameters of a search over files ask for. Raises `BadRequest`."""
    search = parse(given.q)
    rows = row_pipes(search)
    for number, pipe in enumerate(search.pipes):
        with search.at_pipe(number):
            if isinstance(pipe, Sort):
                raise BadQuery("a search over files takes no pipe but 'limit' and 'fields'")
    holds(search.where)
    times = given.times
    return FileSearchRequest(
        q=to_text(search.where),
        limit=given.limit if rows.limit is None else min(given.limit, rows.limit),
        max_bytes=given.max_bytes,
        fields=rows.fields,
        from_ns=times.from_ns,
        to_ns=times.to_ns,
    )
