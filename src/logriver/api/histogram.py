"""`/api/v1/histogram`: how many records match, by time and by a field."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field
from starlette.responses import Response

from logriver import clock
from logriver.api import answers, parameters
from logriver.search import zone
from logriver.search.histogram import MAX_BUCKETS, MAX_KEYS, Histogram, HistogramRequest, Histograms

_DEFAULT_BUCKETS = 60
_DEFAULT_BY = "level"


class HistogramParameters(parameters.SearchParameters):
    """What a histogram can be asked with."""

    buckets: Annotated[
        int,
        parameters.whole_number("buckets", _DEFAULT_BUCKETS, MAX_BUCKETS),
        Field(ge=1, le=MAX_BUCKETS, description="at most about so many"),
    ] = _DEFAULT_BUCKETS
    by: Annotated[str, Field(description=f"any field; the {MAX_KEYS} most frequent values get a series")] = _DEFAULT_BY
    tz: parameters.Zone = ""


def router(histograms: Histograms) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["search"])

    @routes.get("/api/v1/histogram", summary="Counts by time and by the value of a field")
    async def get_histogram(given: Annotated[HistogramParameters, Query()]) -> Response:
        started = clock.monotonic()
        asked = HistogramRequest(
            text=given.q,
            times=given.times,
            buckets=given.buckets,
            by=given.by or _DEFAULT_BY,
            tz=zone.checked(given.tz),
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
