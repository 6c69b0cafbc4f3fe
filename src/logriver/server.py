"""The server, put together: the only place that chooses what implements an interface.

Started in the order of a line's way backwards, store first, so that nothing is received that has nowhere to go; stopped
in the order of the way, so that what was received is stored.
"""

import asyncio
import contextlib
import gc
import logging
import os
import resource
import signal
import socket
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import uvicorn
import uvloop
from starlette.types import ASGIApp

from logriver import __version__
from logriver.allocator import give_back_blocks, give_back_freed
from logriver.api.app import create_api
from logriver.api.services import Services
from logriver.api.source_list import Statuses
from logriver.api.tracing import Tracing, join_trace
from logriver.auth.access_control import AccessControl
from logriver.auth.request_origin import checked_origins
from logriver.auth.token import TOKEN_FILE, Token, kept_token
from logriver.columns import TABLE
from logriver.federated.agent_registry import Agents
from logriver.files.answers import FileAnswers
from logriver.files.asked import AskedFiles
from logriver.files.roots import Roots
from logriver.follow.follower import Follower
from logriver.ingest.body import BodyLimits
from logriver.ingest.fast_path import Remembered, ShortWayProtocol
from logriver.ingest.http import Receiver
from logriver.ingest.listen import check_certificate, listeners, trusts_loopback, url
from logriver.ingest.memory_budget import Inflight
from logriver.ingest.ranges import Ranges
from logriver.ingest.unix_socket import removed_at_end
from logriver.query.sql.binding import Promoted
from logriver.queue.state import State
from logriver.queue.wal import Wal
from logriver.settings import Settings
from logriver.ship.frames import MAX_FRAME_BYTES
from logriver.store.directory import DataDirectory, open_directory
from logriver.store.disk import Disk, directory_bytes, free_bytes, plan
from logriver.store.embedded import Embedded
from logriver.store.memory import engine_memory_bytes
from logriver.store.promotion import Promotion
from logriver.store.retention import Retention
from logriver.telemetry.rates import Rate
from logriver.telemetry.store_log import into, own_log_stored
from logriver.threads import SupervisedTask
from logriver.write.writer import Writer

_DRAIN_SECONDS = 60.0
_KEEP_ALIVE_SECONDS = 75
_CONNECTIONS_WAITING = 4096
_GARBAGE_THRESHOLD = 50_000
# Large bodies and blocks: a tenth less memory at peak. What it costs in time is less than runs differ by.
_LARGE_BLOCK_BYTES = 1_000_000
# How long a thread may keep the interpreter from the others: the event loop waits for whoever decodes a large body.
_SWITCH_SECONDS = 0.001
_QUIET_SECONDS = 5
_FOLLOWER_LATE_SECONDS = 120.0
_FOLLOWER_STOP_SECONDS = 10.0
# Beyond this a stall is a problem that people are told about.
_STALLED_SECONDS = 30.0

log = logging.getLogger(__name__)


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then drain and return.

    Raises `SettingsError`, `DataDirectoryError`, `OSError` (an address is taken, the disk fails).
    """
    check_certificate(settings.tls_cert, settings.tls_key)
    cors_origins = checked_origins(settings.cors_origin)
    directory = open_directory(settings.data)
    try:
        sockets = listeners(settings.listen)
        with removed_at_end(sockets):
            token, made_now = settings.token.get_secret_value(), False
            if not token:
                token, made_now = kept_token(directory.path / TOKEN_FILE)
            access = AccessControl(Token(token), cors_origins, trust_loopback=trusts_loopback(settings))
            _prepare_process()
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                server = _Server(settings, directory, access)
                runner.run(server.serve(sockets, token if made_now else ""))
    finally:
        directory.close()
    if not server.ended:
        log.warning("a query does not end, the process ends with it")
        # The interpreter would wait for its thread.
        os._exit(0)


class _Server:
    def __init__(self, settings: Settings, directory: DataDirectory, access: AccessControl) -> None:
        self._settings = settings
        self._access = access
        path, node = directory.path, directory.node
        sizes = plan(settings, directory_bytes(path) + free_bytes(path))
        memory_bytes = engine_memory_bytes(settings.max_memory_bytes)
        # Before its columns go, every query that was compiled with them has had its turn.
        self._promotion = Promotion(path, settings.promote, leave_seconds=2 * settings.query_timeout)
        self._store = Embedded(path, node, memory_bytes, sizes.slice_bytes, self._promotion.keys)
        self._state = State(path / "state.db", sizes.dead_letter_bytes)
        self._disk = Disk(path, settings.max_disk_bytes, lambda: self._queue.backlog.bytes)
        self._queue = Wal(
            path / "log",
            node,
            self._state,
            _stored_seq(self._store, node),
            sizes.segment_bytes,
            sizes.backlog_bytes,
            self._disk.check,
        )
        self._retention = Retention(self._store, self._state, self._disk, settings.retention_seconds)
        self._writer = Writer(
            self._queue,
            self._store,
            node,
            sizes.slice_bytes,
            block_records=settings.block_records,
            block_bytes=settings.block_bytes,
            block_seconds=settings.block_seconds,
            removed_slice=self._state.mark("removing_slice"),
        )
        self._follower = Follower(self._queue, settings)
        self._following = SupervisedTask("follower", "files are not followed", late_seconds=_FOLLOWER_LATE_SECONDS)
        self._agents = Agents()
        self._web: _Web | None = None
        self._ended = False
        self._accepting = Rate(lambda: self._queue.mark + self._queue.waiting)
        self._storing = Rate(lambda: self._queue.mark)

    async def serve(self, sockets: list[socket.socket], new_token: str) -> None:
        """Start everything, serve, stop everything. A token that was made for this start is shown, this once."""
        self._queue.start(asyncio.get_running_loop())
        self._writer.start(self._settings.workers)
        self._retention.start(self._writer)
        self._promotion.start(self._store)
        self._web = _Web(self._app(), self._settings)
        self._following.start(self._follower.run)
        tasks = [asyncio.create_task(self._sample())]
        # Before the line that says so: whoever connects from then on waits for the first accept and is not refused.
        for listener in sockets:
            listener.listen(_CONNECTIONS_WAITING)
        for listener in sockets:
            sys.stdout.write(f"logriver listens on {url(listener, self._settings.tls_cert is not None)}\n")
        if new_token:
            sys.stdout.write(f"its token is {new_token} (shown only now, kept in {self._settings.data / TOKEN_FILE})\n")
        sys.stdout.flush()
        try:
            async with self._own_log_stored():
                fields = {"version": __version__, "trust_loopback": trusts_loopback(self._settings)}
                log.info("listening", extra={"fields": fields})
                await self._web.serve(sockets)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._following.stop(_FOLLOWER_STOP_SECONDS)
            await asyncio.to_thread(self._drain)

    def _own_log_stored(self) -> contextlib.AbstractAsyncContextManager[None]:
        if not self._settings.own_logs:
            return contextlib.nullcontext()
        return own_log_stored(into(self._queue), self._settings.follower_name)

    def _drain(self) -> None:
        self._queue.stop_receiving()
        if not self._writer.join(_DRAIN_SECONDS):
            log.warning("stopping with a backlog, it is in the log and goes on at the next start")
        self._retention.stop()
        self._promotion.stop()
        self._queue.close()
        self._state.close()
        self._ended = self._store.close()

    @property
    def ended(self) -> bool:
        """Whether nothing is left running in the engine."""
        return self._ended

    def _app(self) -> "_App":
        settings = self._settings
        limits = BodyLimits(
            Inflight(settings.max_inflight_bytes),
            settings.max_body_bytes,
            settings.max_record_bytes,
            settings.body_timeout,
        )
        receiver, ranges = Receiver(self._queue, limits), Ranges(self._queue, limits)
        services = Services(
            settings,
            self._store,
            lambda: Promoted(self._promotion.keys, self._promotion.uses.note),
            self._promotion,
            lambda: self._queue.mark,
            self._status,
            self._problems,
            lambda: self._queue.mark + self._queue.waiting,
            self._queue.sources,
            self._followed,
            AskedFiles(
                FileAnswers(Roots(settings.files_root), settings.max_file_reads, self._follower.places),
                chosen="files_root" in settings.model_fields_set,
            ),
            self._agents,
            self._access,
            self._queue.letters,
            self._queue,
            self._format_of,
            self._store.refusal,
            lambda: self._web is not None and self._web.should_exit,
        )
        return _App(self._access, receiver, ranges, Tracing(create_api(services)))

    def _status(self) -> Mapping[str, object]:
        return {
            "waiting": self._queue.waiting,
            "oldest_waiting_seconds": round(self._queue.backlog.oldest_seconds(), 3),
            "dead_letters": self._state.dead_letters,
            "removed_by_retention": self._retention.removed,
            "accepted_per_second": self._accepting.per_second(),
            "stored_per_second": self._storing.per_second(),
            "problems": [
                *self._problems(),
                *self._queue.problems,
                *self._following.problems,
                *self._follower.problems,
                *self._agents.problems(),
            ],
        }

    def _problems(self) -> list[str]:
        problems = [*self._writer.problems, *self._retention.problems]
        stalled = self._queue.backlog.oldest_seconds()
        if stalled > _STALLED_SECONDS and not problems:
            problems.append(f"the oldest record has been waiting to be stored for {stalled:.0f} s")
        return problems

    def _followed(self) -> Statuses:
        """What each connected follower says of its files."""
        agents, name = self._agents.statuses(), self._follower.name
        own = self._follower.sources()
        # An agent on this machine has the same name, unless one is given to it.
        return {**agents, name: [*own, *agents.get(name, [])]} if own else agents

    def _format_of(self, source: str) -> str | None:
        """The format of a file that this server or a connected agent follows, by its path."""
        followed = [status for statuses in self._followed().values() for status in statuses]
        return next((status.format for status in followed if status.path == source and status.format), None)

    def _give_back_memory(self) -> None:
        self._store.give_back_memory()
        give_back_freed()

    async def _sample(self) -> None:
        """Once a second: note the rates, and after a busy time give memory back."""
        quiet_seconds = 0
        while True:
            self._accepting.sample()
            self._storing.sample()
            busy = self._accepting.per_second() > 0 or self._queue.waiting > 0
            quiet_seconds = 0 if busy else quiet_seconds + 1
            if quiet_seconds == _QUIET_SECONDS:
                await asyncio.to_thread(self._give_back_memory)
            await asyncio.sleep(1)


class _App:
    """One address for everything, behind access control: the ways in as plain ASGI, all else through FastAPI."""

    def __init__(self, access: AccessControl, receiver: Receiver, ranges: Ranges, api: ASGIApp) -> None:
        self._access = access
        self._receiver = receiver
        self._ranges = ranges
        self._api = api

    @property
    def generation(self) -> int:
        """See `ingest/fast_path.py`."""
        return self._access.generation

    def short_way(self, scope: Any) -> Remembered | None:
        """See `ingest/fast_path.py`."""
        take = self._receiver.short_way(scope)
        principal = self._access.recognised(scope) if take else None
        return Remembered(take, principal, self._access.generation) if take and principal else None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if not self._access.admits(scope):
            send = await self._access.examine(scope, send)
            if send is None:
                return
        if scope["type"] == "http" and scope["method"] == "POST" and scope["path"] in Receiver.PATHS:
            join_trace(scope["headers"])
            await self._receiver(scope, receive, send)
        elif scope["type"] == "http" and (scope["method"], scope["path"]) in Ranges.CALLS:
            await self._ranges(scope, receive, send)
        else:
            await self._api(scope, receive, send)


class _Web(uvicorn.Server):
    """Uvicorn, stopped by SIGTERM and SIGINT without raising them again: the process ends by itself, with 0."""

    def __init__(self, app: _App, settings: Settings) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                ssl_certfile=settings.tls_cert,
                ssl_keyfile=settings.tls_key,
                http=ShortWayProtocol,
                ws="websockets-sansio",
                ws_max_size=MAX_FRAME_BYTES,
                ws_per_message_deflate=False,
                lifespan="off",
                access_log=False,
                log_config=None,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=10,
                backlog=_CONNECTIONS_WAITING,
            )
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Unix sockets beside the ports: uvicorn knows one or the other. They speak no TLS, which is for networks."""
        given = sockets or []
        await super().startup([listener for listener in given if listener.family != socket.AF_UNIX])
        open_unix = asyncio.get_running_loop().create_unix_server
        for listener in (listener for listener in given if listener.family == socket.AF_UNIX):
            self.servers.append(await open_unix(self._protocol, sock=listener, backlog=_CONNECTIONS_WAITING))

    def _protocol(self) -> ShortWayProtocol:
        return ShortWayProtocol(self.config, self.server_state, self.lifespan.state)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


def _prepare_process() -> None:
    """What many connections and many short-lived objects need of a process."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    give_back_blocks(_LARGE_BLOCK_BYTES)
    # Objects that live as long as the process need not be looked at again; batches are freed by their counts.
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GARBAGE_THRESHOLD)
    sys.setswitchinterval(_SWITCH_SECONDS)


def _stored_seq(store: Embedded, node: str) -> int:
    """The highest number in the store."""
    return int(str(store.query(f"SELECT max(_seq) FROM {TABLE} WHERE _node = '{node}'").rows[0][0]))
