"""`/api/v1/histogram`: how many records match, by time and by a field."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from logriver import clock
from logriver.api import answers, parameters
from logriver.api.described import From, Text, To, Tz
from logriver.search import zone
from logriver.search.histogram import MAX_BUCKETS, MAX_KEYS, Histogram, HistogramRequest, Histograms

_DEFAULT_BUCKETS = 60
_DEFAULT_BY = "level"


def router(histograms: Histograms) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["search"])

    @routes.get("/api/v1/histogram", summary="Counts by time and by the value of a field")
    async def get_histogram(
        request: Request,
        q: Text = "",
        from_: From = "",
        to: To = "",
        buckets: Annotated[str, Query(description=f"at most about so many, 1 to {MAX_BUCKETS}")] = "60",
        by: Annotated[str, Query(description=f"any field; the {MAX_KEYS} most frequent values get a series")] = "level",
        tz: Tz = "",
    ) -> Response:
        started = clock.monotonic()
        given = await parameters.read(request)
        asked = HistogramRequest(
            text=parameters.text_of(given),
            times=parameters.times_of(given),
            buckets=parameters.number_of(given, "buckets", _DEFAULT_BUCKETS, MAX_BUCKETS),
            by=given.get("by") or _DEFAULT_BY,
            tz=zone.checked(given.get("tz", "")),
        )
        histogram = await histograms.histogram(asked)
        return answers.measured(_content(histogram), histogram.cost, started)

    return routes


def _content(histogram: Histogram) -> dict[str, object]:
    starts = histogram.buckets.starts
    series = [
        {"key": key.text, "rest": key.rest, "values": list(zip(starts, counts, strict=True))}
        for key, counts in histogram.series.items()
    ]
    return {
        "interval_seconds": histogram.buckets.seconds,
        "from": clock.to_text(histogram.from_ns),
        "to": clock.to_text(min(histogram.to_ns, clock.MAX_TIME_NS)),
        "total": histogram.total,
        "series": series,
    }
