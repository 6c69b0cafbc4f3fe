"""The application that answers: every route but the ways in, which are plain ASGI in `receive/`."""

from fastapi import FastAPI
from starlette.middleware.gzip import GZipMiddleware

from logriver import __version__
from logriver.api import customers, dead_letters, docs, errors, health, login, metrics, search, status
from logriver.api.replay import Replay
from logriver.api.services import Services
from logriver.search.customers import CustomerStatistics
from logriver.search.desk import Desk
from logriver.search.search import Search
from logriver.search.status import Status

_COMPRESS_FROM_BYTES = 1_000
_COMPRESS_LEVEL = 3


def create_api(services: Services) -> FastAPI:
    """The API over a running server."""
    app = FastAPI(title="Logriver", version=__version__, docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(GZipMiddleware, minimum_size=_COMPRESS_FROM_BYTES, compresslevel=_COMPRESS_LEVEL)
    errors.install(app)
    desk = Desk(services.store, services.settings.max_queries, services.settings.query_timeout)
    app.include_router(search.router(Search(desk, services.mark, services.promoted)))
    app.include_router(status.router(Status(desk, services.mark), services.status, services.sources))
    app.include_router(customers.router(CustomerStatistics(desk, services.mark)))
    app.include_router(health.router(services.ready))
    app.include_router(metrics.router())
    max_record_bytes = services.settings.max_record_bytes
    replay = Replay(services.letters, services.sink, services.format_of, max_record_bytes)
    app.include_router(dead_letters.router(services.letters, replay, max_record_bytes))
    app.include_router(login.router(services.door))
    app.include_router(docs.router(app))
    return app
