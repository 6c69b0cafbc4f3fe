"""The application that answers: every route but those of ingest endpoints, which are plain ASGI in `ingest/`."""

from fastapi import APIRouter, Depends, FastAPI
from starlette.middleware.gzip import GZipMiddleware

from logriver import __version__
from logriver.api import (
    agents,
    context,
    damage,
    dead_letters,
    docs,
    errors,
    explain,
    fields,
    file_search,
    files,
    health,
    histogram,
    ingest_routes,
    login,
    metrics,
    page,
    parameters,
    patterns,
    promotion,
    search,
    sources,
    sql,
    stats,
    status,
    suggest,
    tail,
)
from logriver.api.cancel_on_disconnect import Departure
from logriver.api.incomplete import Incomplete
from logriver.api.replay import Replay
from logriver.api.services import Services
from logriver.api.source_list import SourceList
from logriver.federated.hosts import Hosts
from logriver.search.context import Context
from logriver.search.desk import Desk
from logriver.search.explain import Explain
from logriver.search.export import Export
from logriver.search.fields import FieldList
from logriver.search.held_lines import HeldLines
from logriver.search.hints import Hints
from logriver.search.histogram import Histograms
from logriver.search.patterns import PatternList
from logriver.search.search import Search
from logriver.search.sql import Sql
from logriver.search.stats import Statistics
from logriver.search.status import Status
from logriver.search.suggest import Suggestions
from logriver.search.tail import Tail
from logriver.search.unknown_fields import UnknownFields
from logriver.search.values import FieldValues

_COMPRESS_FROM_BYTES = 1_000
_COMPRESS_LEVEL = 3


def create_api(services: Services, compat: APIRouter) -> FastAPI:
    """The API over a running server, with the routes of `compat.py`."""
    app = FastAPI(
        title="Logriver",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        dependencies=[Depends(parameters.no_unknown)],
    )
    app.add_middleware(Incomplete, without=services.incomplete)
    app.add_middleware(GZipMiddleware, minimum_size=_COMPRESS_FROM_BYTES, compresslevel=_COMPRESS_LEVEL)
    errors.install(app)
    # Outermost: it sees what the client does, whatever is between.
    app.add_middleware(Departure)
    desk = services.desk
    rows, export = Search(desk, services.mark, services.promoted), Export(desk, services.mark, services.promoted)
    hints = Hints(desk, services.mark, services.promoted)
    unknown = UnknownFields(desk, services.mark, services.promoted)
    app.include_router(search.router(rows, export, hints, unknown, services.settings.export_idle))
    most_tails = services.settings.max_tails
    live = Tail(desk, services.mark, services.promoted, services.acknowledged, most_tails, services.stopping)
    app.include_router(tail.router(live, services.settings.export_idle))
    app.include_router(context.router(Context(desk, services.mark)))
    _include_counts(app, services, desk, hints, unknown)
    app.include_router(sql.router(Sql(desk, services.mark, services.promoted)))
    app.include_router(status.router(Status(desk, services.mark), services.status))
    app.include_router(compat)
    app.include_router(health.router(services.ready))
    _include_sources(app, services, desk)
    app.include_router(agents.router(services.agents))
    hosts = Hosts(services.settings.follower_name, services.files, services.agents)
    app.include_router(files.router(hosts, services.settings.export_idle))
    app.include_router(file_search.router(hosts, services.settings.export_idle))
    max_record_bytes = services.settings.max_record_bytes
    replay = Replay(services.letters, services.sink, services.format_of, services.refusal, max_record_bytes)
    app.include_router(damage.router(services.damage))
    app.include_router(dead_letters.router(services.letters, replay, max_record_bytes))
    app.include_router(login.router(services.access))
    app.include_router(docs.router(app, services.ingest))
    app.include_router(page.router())
    app.include_router(ingest_routes.router(services.ingest))
    return app


def _include_sources(app: FastAPI, services: Services, desk: Desk) -> None:
    """The calls about followed files; how far behind they are is a metric too."""
    followed, lines = SourceList(services.ledger, services.followed), HeldLines(desk, services.mark)
    idle_seconds = services.settings.export_idle
    app.include_router(sources.router(followed, lines, services.sink, services.acknowledged, idle_seconds))
    app.include_router(metrics.router(followed.behind))


def _include_counts(app: FastAPI, services: Services, desk: Desk, hints: Hints, unknown: UnknownFields) -> None:
    """The calls that count records instead of giving them, and those about the search text."""
    asked = desk, services.mark, services.promoted
    app.include_router(histogram.router(Histograms(*asked)))
    names = FieldList(*asked)
    app.include_router(fields.router(names, FieldValues(*asked)))
    app.include_router(promotion.router(services.promotion))
    app.include_router(suggest.router(Suggestions(*asked, names)))
    app.include_router(stats.router(Statistics(*asked), hints, unknown))
    app.include_router(patterns.router(PatternList(*asked)))
    app.include_router(explain.router(Explain(*asked)))
