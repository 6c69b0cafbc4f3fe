"""The server, put together: what implements each interface is chosen here and in `use_cases.py`, nowhere else.

Started in the order of a line's way backwards, store first, so that nothing is received that has nowhere to go; stopped
in the order of the way, so that what was received is stored.
"""

import asyncio
import contextlib
import gc
import logging
import os
import resource
import socket
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import uvloop
from starlette.types import ASGIApp

from logriver import __version__
from logriver.allocator import give_back_blocks, give_back_freed
from logriver.api.app import create_api
from logriver.api.source_list import Statuses
from logriver.api.tracing import Tracing, join_trace
from logriver.api.use_cases import ServerState
from logriver.auth.access_control import AccessControl
from logriver.auth.request_origin import checked_origins
from logriver.auth.token import TOKEN_FILE, Token, kept_token
from logriver.columns import TABLE
from logriver.compat.ingest import LogsIngest, RootIngest
from logriver.decode.reference import ReferenceDecoder
from logriver.federated.agent_registry import Agents
from logriver.files.answers import FileAnswers
from logriver.files.roots import Roots
from logriver.follow.follower import Follower
from logriver.ingest.body import BodyLimits
from logriver.ingest.connections import Patience
from logriver.ingest.endpoint import Endpoint
from logriver.ingest.endpoints.logs import Logs
from logriver.ingest.endpoints.ranges import Ranges
from logriver.ingest.fast_path import Remembered
from logriver.ingest.listen import check_certificate, listeners, trusts_loopback, url, url_here
from logriver.ingest.memory_budget import MemoryBudget
from logriver.ingest.pipeline import Pipeline
from logriver.ingest.small_bodies import SmallBodies
from logriver.ingest.thread_decoder import ThreadDecoder
from logriver.ingest.unix_socket import removed_at_end
from logriver.ingest.web_server import CONNECTIONS_WAITING, WebServer
from logriver.queue.segment_files import nodes_of
from logriver.queue.state import State
from logriver.queue.wal import Wal
from logriver.readiness import Readiness
from logriver.settings import Settings
from logriver.ship.frames import MAX_FRAME_BYTES
from logriver.store.belonging import other_node
from logriver.store.directory import DataDirectory, open_directory
from logriver.store.disk import Disk, Sizes, directory_bytes, free_bytes, plan
from logriver.store.embedded import Embedded
from logriver.store.materialized import Materialization
from logriver.store.memory import engine_memory_bytes
from logriver.store.migrations.convert import convert
from logriver.store.migrations.data_format import FORMAT
from logriver.store.retention import Retention
from logriver.telemetry.rates import Rate
from logriver.telemetry.store_log import internal_log_stored, into
from logriver.threads import SupervisedTask, SupervisedThread, ending_executor, ends_within
from logriver.use_cases import Parts, use_cases
from logriver.write.writer import Writer

# So soon parts are checked again after the data directory could not be used.
_NOT_USABLE_SECONDS = 30.0
# Together with all other waits, also where each takes its longest, less than the 150 s after which a service manager
# kills (deploy/).
_DRAIN_SECONDS = 40.0
_CLOSE_SECONDS = 15.0
_CANCEL_SECONDS = 5.0
_GARBAGE_THRESHOLD = 50_000
# Large bodies and blocks: a tenth less memory at peak. What it costs in time is less than runs differ by.
_LARGE_BLOCK_BYTES = 1_000_000
# How long a thread may keep the interpreter from the others: the event loop waits for whoever decodes a large body.
_SWITCH_SECONDS = 0.001
_QUIET_SECONDS = 5
_FOLLOW_AGAIN_SECONDS = 10

log = logging.getLogger(__name__)


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then drain and return.

    Raises `SettingsError`, `DataDirectoryError`, `OSError` (an address is taken, the disk fails).
    """
    check_certificate(settings.tls_cert, settings.tls_key)
    cors_origins = checked_origins(settings.cors_origin)
    directory = open_directory(settings.data, nodes_of)
    try:
        convert(directory.path)
        sockets = listeners(settings.listen)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            with removed_at_end(sockets):
                token, made_now = settings.token.get_secret_value(), False
                if not token:
                    token, made_now = kept_token(directory.path / TOKEN_FILE)
                access = AccessControl(Token(token), cors_origins, trust_loopback=trusts_loopback(settings))
                _prepare_process()
                server = _Server(settings, directory, access)
                runner.run(server.serve(sockets, token if made_now else ""))
            if not server.ended:
                log.warning("a query or a thread does not end, the process ends with it")
                # The interpreter would wait for its thread.
                os._exit(0)
    finally:
        directory.close()


class _Server:
    def __init__(self, settings: Settings, directory: DataDirectory, access: AccessControl) -> None:
        self._settings = settings
        self._access = access
        self._node = node = directory.node
        path = directory.path
        sizes = plan(settings, directory_bytes(path) + free_bytes(path))
        memory_bytes = engine_memory_bytes(settings.max_memory_bytes)
        # Before its columns go, every query that was compiled with them has had its turn.
        self._materialized = Materialization(path, settings.promote, leave_seconds=2 * settings.query_timeout)
        self._store = Embedded(
            path, node, memory_bytes, sizes.partition_bytes, self._materialized.keys, directory.is_there
        )
        stored_seq = _stored_seq(self._store, directory)
        self._state = _state_of(directory, sizes.dead_letter_bytes)
        self._disk = Disk(path, settings.max_disk_bytes, lambda: self._queue.backlog.bytes, directory.problem)
        self._queue = self._opened_queue(path / "log", sizes, stored_seq)
        self._retention = Retention(self._store, self._state, self._disk, settings.retention_seconds)
        self._part_checks = SupervisedThread("part-checks", "parts cannot be checked for damage", late_seconds=None)
        self._behind = _store_behind(self._store, self._state, stored_seq)
        self._writer = Writer(
            self._queue,
            self._store,
            node,
            sizes.partition_bytes,
            block_records=settings.block_records,
            block_bytes=settings.block_bytes,
            block_seconds=settings.block_seconds,
            removed_partition=self._state.number("removing_partition"),
        )
        self._follower = Follower(self._queue, settings, ReferenceDecoder)
        self._agents = Agents()
        roots, file_keys = Roots(settings.files_root), self._follower.file_keys
        self._file_answers = FileAnswers(roots, settings.max_file_reads, file_keys, ReferenceDecoder)
        self._decoder = ThreadDecoder(ReferenceDecoder)
        self._internal_log: SupervisedTask | None = None
        self._web: WebServer | None = None
        self._ended = self._store_ended = False
        self._accepting = Rate(lambda: self._queue.watermark + self._queue.waiting)
        self._storing = Rate(lambda: self._queue.watermark)
        self._quiet_seconds = 0
        self._following = SupervisedTask(
            "follow", "files cannot be followed", first_backoff_seconds=_FOLLOW_AGAIN_SECONDS, late_seconds=None
        )
        self._sampling = SupervisedTask("sample", "rates cannot be measured")
        self._readiness = self._watched()

    def _opened_queue(self, folder: Path, sizes: Sizes, stored_seq: int) -> Wal:
        node = self._node
        return Wal(
            folder,
            node,
            self._state,
            stored_seq,
            sizes.segment_bytes,
            sizes.backlog_bytes,
            self._disk.check,
            lambda first_seq, last_seq: _stored_in(self._store, node, first_seq, last_seq),
        )

    def _watched(self) -> Readiness:
        """What must hold: here is the place for a further check."""
        return Readiness(
            self._queue,
            needed=[
                lambda: self._queue.problems,
                lambda: self._writer.problems,
                lambda: self._retention.problems,
            ],
            others=[
                lambda: [*self._queue.torn, *self._queue.damage.problems],
                lambda: self._behind,
                lambda: self._store.problems,
                lambda: self._part_checks.problems,
                lambda: self._materialized.problems,
                lambda: self._following.problems,
                lambda: self._sampling.problems,
                lambda: self._follower.problems,
                self._agents.problems,
                lambda: self._internal_log.problems if self._internal_log else [],
            ],
        )

    async def serve(self, sockets: list[socket.socket], new_token: str) -> None:
        """Start everything, serve, stop everything. A token that was made for this start is shown, this once."""
        end_threads = ending_executor(asyncio.get_running_loop())
        try:
            web = self._begin(sockets, new_token)
            async with self._internal_log_stored() as self._internal_log:
                fields = {"version": __version__, "trust_loopback": trusts_loopback(self._settings)}
                log.info("listening", extra={"fields": fields})
                await web.serve(sockets)
        finally:
            loops = (self._following, self._sampling)
            stopped = await asyncio.gather(*(loop.stop(_CANCEL_SECONDS) for loop in loops))
            # Not on the threads of calls: they may all hang in what is drained.
            drain = ThreadPoolExecutor(1, "drain")
            drained = await asyncio.get_running_loop().run_in_executor(drain, self._drain)
            ended = [end_threads(_CANCEL_SECONDS), self._file_answers.stop(_CANCEL_SECONDS)]
            self._ended = drained and all(ended) and all(stopped)

    def _begin(self, sockets: list[socket.socket], new_token: str) -> WebServer:
        """Start what works on the data, then listen, and say so."""
        self._queue.start(asyncio.get_running_loop())
        self._writer.start(self._settings.workers)
        self._retention.start(self._writer)
        self._part_checks.start(self._check_part)
        self._materialized.start(self._store)
        web = self._web = self._web_server()
        self._following.start(self._follow)
        self._sampling.start(self._sample)
        # Before the line that says so: whoever connects from then on waits for the first accept and is not refused.
        for listener in sockets:
            listener.listen(CONNECTIONS_WAITING)
        for listener in sockets:
            encrypted = self._settings.tls_cert is not None
            here = url_here(listener, encrypted)
            hint = f" (on this machine use {here})" if here else ""
            sys.stdout.write(f"logriver listens on {url(listener, encrypted)}{hint}\n")
        if new_token:
            sys.stdout.write(f"its token is {new_token} (shown only now, kept in {self._settings.data / TOKEN_FILE})\n")
        sys.stdout.flush()
        return web

    def _internal_log_stored(self) -> contextlib.AbstractAsyncContextManager[SupervisedTask | None]:
        if not self._settings.internal_logs:
            return contextlib.nullcontext()
        return internal_log_stored(into(self._queue, ReferenceDecoder()), self._settings.follower_name)

    def _check_part(self) -> float:
        return self._store.check_part() if self._disk.is_usable else _NOT_USABLE_SECONDS

    async def _follow(self) -> float:
        """Follow files for as long as the server lives."""
        await self._follower.run()
        return _FOLLOW_AGAIN_SECONDS

    def _drain(self) -> bool:
        """Store what was taken and close everything, each within its time. Whether all of it has ended."""
        written = self._queue.stop_receiving()
        if not self._writer.join(_DRAIN_SECONDS):
            log.warning("stopping with a backlog, it is in the log and goes on at the next start")
        stopped = [written, self._writer.has_ended, self._retention.stop(), self._materialized.stop()]
        stopped.append(self._part_checks.stop(_CANCEL_SECONDS))
        # What hangs may be in the state or the engine, and whoever closes them would hang too.
        return ends_within(_CLOSE_SECONDS, "closing the store", self._close) and all(stopped) and self._store_ended

    def _close(self) -> None:
        closed = False
        try:
            closed = self._queue.close()
            if closed:
                self._state.close()
        finally:
            self._store_ended = self._store.close() and closed

    @property
    def ended(self) -> bool:
        """Whether nothing is left running in the engine."""
        return self._ended

    def _web_server(self) -> WebServer:
        settings = self._settings
        # An export that is not read is ended by itself, and says so.
        patience = Patience(body=settings.body_timeout, reader=2 * settings.export_idle)
        return WebServer(self._app(), settings.tls_cert, settings.tls_key, patience, MAX_FRAME_BYTES)

    def _app(self) -> "_App":
        settings, sink = self._settings, self._queue
        limits = BodyLimits(
            MemoryBudget(settings.max_inflight_bytes),
            settings.max_body_bytes,
            settings.max_record_bytes,
        )
        pipeline = Pipeline(sink, limits, self._endpoints(limits))
        return _App(self._access, pipeline, SmallBodies(sink, limits, ReferenceDecoder()), Tracing(self._api(pipeline)))

    def _endpoints(self, limits: BodyLimits) -> list[Endpoint]:
        """Every protocol in which records arrive over HTTP."""
        return [
            Logs(limits, self._decoder, self._queue.wait_searchable),
            Ranges(limits, self._queue.known),
            RootIngest(limits, self._decoder),
            LogsIngest(limits, self._decoder),
        ]

    def _api(self, pipeline: Pipeline) -> ASGIApp:
        parts = Parts(
            settings=self._settings,
            node=self._node,
            store=self._store,
            queue=self._queue,
            materialization=self._materialized,
            follower=self._follower,
            agents=self._agents,
            file_answers=self._file_answers,
            decoder=self._decoder,
            followed=self._followed,
            stopping=lambda: self._web is not None and self._web.should_exit,
        )
        state = ServerState(
            access=self._access,
            sink=self._queue,
            ingest=pipeline.routes,
            status=self._status,
            incomplete=lambda: self._store.incomplete,
            not_ready=self._readiness.not_ready,
            acknowledged=parts.acknowledged_seq,
            export_idle_seconds=self._settings.export_idle,
            max_record_bytes=self._settings.max_record_bytes,
        )
        return create_api(use_cases(parts), state)

    def _status(self) -> Mapping[str, object]:
        return {
            "waiting": self._queue.waiting,
            "oldest_waiting_seconds": round(self._queue.backlog.oldest_seconds(), 3),
            "dead_letters": self._state.dead_letter_count,
            "removed_by_retention": self._retention.removed,
            "accepted_per_second": self._accepting.per_second(),
            "stored_per_second": self._storing.per_second(),
            "problems": self._readiness.problems(),
        }

    def _followed(self) -> Statuses:
        """What each connected follower says of its files."""
        agents, name = self._agents.statuses(), self._follower.name
        own = self._follower.sources()
        # An agent on this machine has the same name, unless one is given to it.
        return {**agents, name: [*own, *agents.get(name, [])]} if own else agents

    def _give_back_memory(self) -> None:
        self._store.give_back_memory()
        give_back_freed()

    async def _sample(self) -> float:
        """Once a second: note the rates, and after a busy time give memory back."""
        self._accepting.sample()
        self._storing.sample()
        busy = self._accepting.per_second() > 0 or self._queue.waiting > 0
        self._quiet_seconds = 0 if busy else self._quiet_seconds + 1
        if self._quiet_seconds == _QUIET_SECONDS:
            await asyncio.to_thread(self._give_back_memory)
        return 1.0


class _App:
    """One address for everything, behind access control: ingest endpoints as plain ASGI, all else through FastAPI."""

    def __init__(self, access: AccessControl, pipeline: Pipeline, small_bodies: SmallBodies, api: ASGIApp) -> None:
        self._access = access
        self._pipeline = pipeline
        self._small_bodies = small_bodies
        self._api = api

    @property
    def generation(self) -> int:
        """See `ingest/fast_path.py`."""
        return self._access.generation

    def fast_path(self, scope: Any) -> Remembered | None:
        """See `ingest/fast_path.py`."""
        take = self._small_bodies.fast_path(scope)
        principal = self._access.recognised(scope) if take else None
        return Remembered(take, principal, self._access.generation) if take and principal else None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if not self._access.admits(scope):
            send = await self._access.examine(scope, send)
            if send is None:
                return
        if self._pipeline.handles(scope):
            join_trace(scope["headers"])
            await self._pipeline(scope, receive, send)
        else:
            await self._api(scope, receive, send)


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


def _stored_seq(store: Embedded, directory: DataDirectory) -> int:
    """The highest number in the store. Raises `DataDirectoryError` if that is of another node."""
    highest = store.query(f"SELECT max(_seq) FROM {TABLE} WHERE _node = '{directory.node}'").rows[0][0]
    if highest:
        return int(str(highest))
    others = store.query(f"SELECT _node FROM {TABLE} LIMIT 1").rows
    if others:
        raise other_node(directory.path, directory.node, "store/", str(others[0][0]))
    return 0


def _store_behind(store: Embedded, state: State, stored_seq: int) -> list[str]:
    """That the newest records which were stored are not in the store, if that is so."""
    done = state.number("watermark")
    # What is set aside may be just those.
    if stored_seq >= done or store.incomplete:
        return []
    missing = done - stored_seq - len(state.dead_lettered(stored_seq + 1, done))
    missing -= sum(max(0, min(h.last_seq, done) - max(h.first_seq, stored_seq + 1) + 1) for h in state.skipped_ranges())
    if missing <= 0:
        return []
    problem = f"the newest {missing} stored records are not in store/: is it older than state.db, from a backup?"
    log.error("%s", problem)
    return [problem]


def _state_of(directory: DataDirectory, max_dead_letter_bytes: int) -> State:
    """The state. Raises `DataDirectoryError` if it cannot be read, or is of another node."""
    state = State(directory.path / "state.db", max_dead_letter_bytes, FORMAT)
    first = state.node_of_first(directory.node)
    if first != directory.node:
        state.close()
        raise other_node(directory.path, directory.node, "state.db", first)
    return state


def _stored_in(store: Embedded, node: str, first_seq: int, last_seq: int) -> int:
    """How many of these numbers are in the store."""
    numbers = f"_node = '{node}' AND _seq BETWEEN {first_seq} AND {last_seq}"
    return int(str(store.query(f"SELECT count(DISTINCT _seq) FROM {TABLE} WHERE {numbers}").rows[0][0]))
