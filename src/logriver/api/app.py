"""The application that answers: every route but those of ingest endpoints, which are plain ASGI in `ingest/`."""

from collections.abc import Iterable

from fastapi import APIRouter, Depends, FastAPI
from starlette.middleware.gzip import GZipMiddleware

from logriver import __version__
from logriver.api import (
    agents,
    compat,
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
from logriver.api.cancel_on_disconnect import CancelOnDisconnect
from logriver.api.incomplete import Incomplete
from logriver.api.use_cases import ServerState, UseCases

_COMPRESS_FROM_BYTES = 1_000
_COMPRESS_LEVEL = 3


def create_api(use_cases: UseCases, server: ServerState) -> FastAPI:
    """The API over a running server."""
    app = FastAPI(
        title="Logriver",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        dependencies=[Depends(parameters.no_unknown)],
    )
    app.add_middleware(Incomplete, without=server.incomplete)
    app.add_middleware(GZipMiddleware, minimum_size=_COMPRESS_FROM_BYTES, compresslevel=_COMPRESS_LEVEL)
    errors.install(app)
    # Outermost: it sees what the client does, whatever is between.
    app.add_middleware(CancelOnDisconnect)
    for router in (*_records(use_cases, server), *_counts(use_cases), *_operation(use_cases, server)):
        app.include_router(router)
    app.include_router(login.router(server.access))
    app.include_router(docs.router(app, server.ingest))
    app.include_router(page.router())
    app.include_router(ingest_routes.router(server.ingest))
    return app


def _records(cases: UseCases, server: ServerState) -> Iterable[APIRouter]:
    """The calls that give records and lines."""
    idle_seconds = server.export_idle_seconds
    yield search.router(cases.search, cases.export, cases.hints, cases.unknown_fields, idle_seconds)
    yield tail.router(cases.tail, idle_seconds)
    yield context.router(cases.context)
    yield sql.router(cases.sql)
    yield files.router(cases.hosts, idle_seconds)
    yield file_search.router(cases.hosts, idle_seconds)


def _counts(cases: UseCases) -> Iterable[APIRouter]:
    """The calls that count records instead of giving them, and those about the search text."""
    yield histogram.router(cases.histograms)
    yield fields.router(cases.fields, cases.values)
    yield promotion.router(cases.promotion)
    yield suggest.router(cases.suggestions)
    yield stats.router(cases.statistics, cases.hints, cases.unknown_fields)
    yield patterns.router(cases.patterns)
    yield explain.router(cases.explain)
    yield compat.router(cases.compat)


def _operation(cases: UseCases, server: ServerState) -> Iterable[APIRouter]:
    """The calls about the server, what it follows, and what could not be stored."""
    yield status.router(cases.status, server.status)
    yield health.router(server.not_ready)
    yield sources.router(
        cases.sources, cases.source_lines, server.sink, server.acknowledged, server.export_idle_seconds
    )
    # How far behind followed files are is a metric too.
    yield metrics.router(cases.sources.behind)
    yield agents.router(cases.agents)
    yield damage.router(cases.damage)
    yield dead_letters.router(cases.dead_letters, cases.replay, server.max_record_bytes)
