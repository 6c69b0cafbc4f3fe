"""The calls by which users of earlier systems search and count; what they mean is in `compat/`.

`/fetch_logs` and the lists to choose from are the log ingestor's, `/logs/filter/` is LogIngestor's, `/customers/..` are
statistics of the requests in files of format `api_requests`. Their errors have their own shapes, by their paths
(`compat/error_shapes.py`).
"""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from logriver.api import answers, parameters
from logriver.api.use_cases import CompatUseCases
from logriver.compat import customers, rule_bodies
from logriver.compat.customers import CustomerStatistics
from logriver.compat.distinct import Distinct
from logriver.compat.record_search import RecordSearch, ingestor_record

PAGE_ROWS = 50

FromDate = Annotated[str, Query(description="first day, YYYY-MM-DD, from 00:00 UTC")]
Daily = Annotated[bool, Query(description="add the figures of each day")]


def router(cases: CompatUseCases) -> APIRouter:
    """The routes."""
    routes = APIRouter()
    routes.include_router(_log_ingestor(cases.search, cases.levels, cases.resources))
    routes.include_router(_logingestor(cases.search))
    routes.include_router(_customers(cases.customers))
    return routes


def _log_ingestor(search: RecordSearch, levels: Distinct, resources: Distinct) -> APIRouter:
    routes = APIRouter(tags=["compat"])

    @routes.post("/fetch_logs", summary="The log ingestor's search: a page of 50", openapi_extra=_body(_FETCH_EXAMPLE))
    async def post_fetch_logs(request: Request) -> Response:
        body = await parameters.read_body(request, parameters.MAX_BODY_BYTES)
        rule_filter, page = rule_bodies.page_of(body)
        records = await search.records(rule_filter, PAGE_ROWS, (page - 1) * PAGE_ROWS)
        return answers.json([ingestor_record(record) for record in records])

    @routes.get("/levels", summary="The levels that records have, as they were sent")
    async def get_levels() -> Response:
        return answers.json(_choices("level", await levels.values()))

    @routes.get("/resources", summary="The resource ids that records have")
    async def get_resources() -> Response:
        return answers.json(_choices("resource", await resources.values()))

    @routes.get("/init_filter", summary="Levels and resource ids")
    async def get_init_filter() -> Response:
        choices = {
            "levels": _choices("level", await levels.values()),
            "resources": _choices("resource", await resources.values()),
        }
        return answers.json(choices)

    return routes


def _logingestor(search: RecordSearch) -> APIRouter:
    routes = APIRouter(tags=["compat"])

    @routes.post("/logs/filter", include_in_schema=False)
    @routes.post("/logs/filter/", summary="LogIngestor's search", openapi_extra=_body(_FILTER_EXAMPLE))
    async def post_filter(request: Request) -> Response:
        body = await parameters.read_body(request, parameters.MAX_BODY_BYTES)
        rule_filter, size = rule_bodies.filtered(body)
        return answers.json({"status": True, "results": await search.records(rule_filter, size)})

    return routes


def _customers(statistics: CustomerStatistics) -> APIRouter:
    routes = APIRouter(tags=["customers"])

    # Before the route below, which would take it for a customer whose name ends in "/stats".
    @routes.get("/customers/customer/stats/all", summary="Figures of all customers together and of each")
    async def get_all(from_date: FromDate, daily: Daily = False) -> Response:
        return answers.json(await statistics.figures(customers.Request(None, from_date, daily)))

    @routes.get("/customers/{customer:path}/stats", summary="Figures of one customer")
    async def get_one(customer: str, from_date: FromDate, daily: Daily = False) -> Response:
        return answers.json(await statistics.figures(customers.Request(customer, from_date, daily)))

    return routes


_FETCH_EXAMPLE = {"rules": [{"field": "level", "value": "error"}], "page": 1}
_FILTER_EXAMPLE = {"key": "message", "value": "Failed to connect", "operation": "contains", "size": 100}


def _body(example: dict[str, object]) -> dict[str, Any]:
    return {"requestBody": {"content": {"application/json": {"schema": {}, "example": example}}}}


def _choices(name: str, values: list[str]) -> list[dict[str, object]]:
    return [{"id": number, name: value} for number, value in enumerate(values, start=1)]
