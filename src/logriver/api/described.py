"""The parameters that several calls have, described for `/docs`; `parameters.py` reads them from all their places."""

from typing import Annotated, Any

from fastapi import Query

Text = Annotated[str, Query(description="search text; also `query`")]
From = Annotated[str, Query(alias="from", description="first time, inclusive; also `start`")]
To = Annotated[str, Query(alias="to", description="last time, exclusive; also `end`")]
Tz = Annotated[str, Query(description="time zone in which days begin, such as Europe/Berlin; UTC when absent")]


def body(*names: str) -> dict[str, Any]:
    """What a POST takes: the same parameters in a JSON object."""
    schema = {"type": "object", "properties": {name: {"type": "string"} for name in names}}
    return {"requestBody": {"content": {"application/json": {"schema": schema}}}}
