"""The pipes that there are, by keyword, in the order in which they are named to users."""

from logriver.query.pipes.eval import Eval
from logriver.query.pipes.fields import Fields
from logriver.query.pipes.limit import Limit
from logriver.query.pipes.patterns import Patterns
from logriver.query.pipes.pipe import Pipe
from logriver.query.pipes.sort import Sort
from logriver.query.pipes.stats import Stats
from logriver.query.pipes.top import Top
from logriver.query.pipes.where import Where

PIPES: dict[str, type[Pipe]] = {
    pipe.keyword: pipe
    for pipe in (
        Stats,
        Where,
        Eval,
        Top,
        Sort,
        Limit,
        Fields,
        Patterns,
    )
}


def token_type(keyword: str) -> str:
    """The type of the token that a pipe's keyword is."""
    return f"PIPE_{keyword.upper()}"
