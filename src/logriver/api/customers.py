"""`/customers/..`: statistics of the requests in files of format `api_requests`, as an earlier system gave them."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from logriver.api import answers
from logriver.search.customers import CustomerStatistics, Request

FromDate = Annotated[str, Query(description="first day, YYYY-MM-DD, from 00:00 UTC")]
Daily = Annotated[bool, Query(description="add the figures of each day")]


def router(statistics: CustomerStatistics) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["customers"])

    # Before the route below, which would take it for a customer whose name ends in "/stats".
    @routes.get("/customers/customer/stats/all", summary="Figures of all customers together and of each")
    async def get_all(from_date: FromDate, daily: Daily = False) -> Response:
        return answers.json(await statistics.figures(Request(None, from_date, daily)))

    @routes.get("/customers/{customer:path}/stats", summary="Figures of one customer")
    async def get_one(customer: str, from_date: FromDate, daily: Daily = False) -> Response:
        return answers.json(await statistics.figures(Request(customer, from_date, daily)))

    return routes
