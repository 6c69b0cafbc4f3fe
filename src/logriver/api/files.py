"""`/logs` and `/api/v1/files`: log files where they lie, on this machine and on those of the agents."""

import re
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from logriver.api import answers, parameters
from logriver.api.export import StreamAnswer
from logriver.errors import BadRequest, Unprocessable
from logriver.federated.hosts import Hosts
from logriver.files.request import ListRequest, LogRequest
from logriver.identity import principal_of

_HEADERS = {"Cache-Control": "no-store"}
_FLAG = {"": False, "false": False, "0": False, "no": False, "true": True, "1": True, "yes": True}
_MOST_LINES = 10**18


class LogParameters(parameters.TimeParameters):
    """What the lines of a file can be asked for with."""

    filename: Annotated[str, Field(description="relative to the allowed directories, or absolute below one")] = ""
    keyword: Annotated[str, Field(description="a part of the line, upper and lower case as it is")] = ""
    n: Annotated[str | None, Field(description="so many matching lines at most; all when absent")] = None
    regex: Annotated[str, Field(description="a pattern (RE2); or true, then the keyword is one")] = ""
    ignore_case: Annotated[str, Field(description="true or false")] = ""
    multiline: Annotated[str, Field(description="true: a match may span lines")] = ""
    hostname: Annotated[str, Field(description="this server when absent; an agent; or * for all at once")] = ""


def router(hosts: Hosts, idle_seconds: float) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["files"])

    @routes.get(
        "/logs",
        summary="Lines of a log file, newest first, read where it lies",
        response_class=Response,
        responses={200: {"content": {"text/plain": {}}}},
    )
    async def get_logs(request: Request, given: Annotated[LogParameters, Query()]) -> Response:
        lines = hosts.lines(given.hostname, _log_request(given), principal_of(request.scope).has_credentials)
        return StreamAnswer(lines, "text/plain", idle_seconds, _HEADERS)

    @routes.get("/api/v1/files", summary="The files of a directory, with sizes and times")
    async def get_files(
        request: Request,
        path: Annotated[str, Query(description="as `filename` of `/logs`; all allowed directories when empty")] = "",
        agent: Annotated[str, Query(description="this server when absent")] = "",
    ) -> Response:
        return answers.json(await hosts.listing(agent, ListRequest(path), principal_of(request.scope).has_credentials))

    return routes


def _log_request(given: LogParameters) -> LogRequest:
    """What the parameters of `/logs` ask for. Raises `BadRequest`, `Unprocessable`."""
    times = given.times
    is_pattern = given.regex.lower() not in _FLAG
    if is_pattern and given.keyword:
        raise BadRequest("either keyword or regex is the pattern", hint="regex=true makes the keyword one")
    return LogRequest(
        filename=given.filename,
        keyword=given.regex if is_pattern else given.keyword,
        n=_count(given.n),
        regex=is_pattern or _FLAG[given.regex.lower()],
        ignore_case=_flag("ignore_case", given.ignore_case),
        multiline=_flag("multiline", given.multiline),
        from_ns=times.from_ns,
        to_ns=times.to_ns,
    )


def _count(text: str | None) -> int | None:
    if text is None:
        return None
    if not re.fullmatch("[0-9]+", text):
        raise Unprocessable(f"parameter 'n' is a number of lines, from 0, not {text[:60]!r}")
    return int(text) if len(text) < len(str(_MOST_LINES)) else _MOST_LINES


def _flag(name: str, value: str) -> bool:
    if value.lower() not in _FLAG:
        raise BadRequest(f"parameter {name!r} is true or false, not {value[:60]!r}")
    return _FLAG[value.lower()]
