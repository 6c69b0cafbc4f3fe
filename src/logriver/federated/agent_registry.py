"""Which agents there are: those that have a channel open, and those that had one and are gone."""

import logging
import unicodedata
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field

import msgspec
from starlette.websockets import WebSocket

from logriver import clock, metrics
from logriver.errors import BadRequest, NameTaken, Overloaded, Unavailable
from logriver.federated.agent_connection import AgentConnection
from logriver.ship import frames
from logriver.ship.frames import AgentSource, Hello
from logriver.threads import Owner

MAX_CONNECTED = 500
MAX_ANSWERS = 500
"""Answers of all agents together at one time, each of which can have half a megabyte waiting here."""
MAX_KNOWN = 2_000
"""Names that are shown; beyond it those that are gone for longest go."""
MISSED_SECONDS = 600
"""Who asks all is told for so long that one is gone: it may have crashed, or its machine be out of reach."""
# Processes of one name that live at one time are hardly so many.
_MAX_DISPLACED = 100
# A problem with a name is shown for so long after it was last seen.
_PROBLEM_SECONDS = 120.0
_MAX_NAME_LENGTH = 255
# What would end a line, or an agent's name before it, where its lines are shown among others.
_UNFIT = frozenset(("Cc", "Cf", "Zl", "Zp", "Zs", "Cs"))

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Known:
    """An agent by its name: what it last said of itself, and its connection while it has one.

    `displaced` are the processes that lost the name to others of their machine; `problem` was noticed at `problem_at`.
    """

    hello: Hello
    connection: AgentConnection | None = None
    since_ns: int = 0
    seen_ns: int = 0
    displaced: deque[str] = field(default_factory=lambda: deque(maxlen=_MAX_DISPLACED))
    problem: str = ""
    problem_at: float = 0.0


class Agents:
    """One for a server. On the event loop."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}
        self._answers = 0
        self._event_loop = Owner("the registry of agents")

    async def serve(self, socket: WebSocket, hello: Hello) -> None:
        """Keep an agent's channel until the agent leaves. Raises `NameTaken`, `Overloaded`, as the connection does."""
        self._event_loop.check()
        _check(hello)
        known = self._admitted(hello)
        connection = AgentConnection(hello, socket)
        known.hello, known.connection, known.since_ns = hello, connection, connection.since_ns
        metrics.agents.set(len(self.names()))
        log.info("an agent is there", extra={"fields": {"agent": hello.name, "agent_host": hello.host}})
        try:
            await connection.run()
        finally:
            known.seen_ns = connection.heard_ns
            if known.connection is connection:
                known.connection = None
                metrics.agents.set(len(self.names()))
                log.info("an agent is gone", extra={"fields": {"agent": hello.name, "agent_host": hello.host}})

    def names(self) -> list[str]:
        """The agents that are connected."""
        return sorted(name for name, known in self._known.items() if known.connection)

    def expected_names(self) -> list[str]:
        """Those that are connected, and those that went so lately that they are missed."""
        missed_since_ns = clock.now_ns() - MISSED_SECONDS * clock.SECOND_NS
        return sorted(
            name for name, known in self._known.items() if known.connection or known.seen_ns > missed_since_ns
        )

    def is_connected(self, name: str) -> bool:
        """Whether there is such an agent now."""
        return name in self._known and self._known[name].connection is not None

    async def ask(self, name: str, kind: str, request: bytes, has_token: bool) -> AsyncGenerator[bytes, None]:
        """What an agent answers. Raises its errors as they are, `BadRequest` for no such agent, and `Unavailable`."""
        self._event_loop.check()
        known = self._known.get(name)
        if known is None:
            raise BadRequest(f"unknown host {name[:60]!r}", hint="GET /api/v1/agents names those there are")
        if known.connection is None:
            raise Unavailable(f"agent {name!r} is gone, it was last seen at {clock.to_text(known.seen_ns)}")
        if self._answers >= MAX_ANSWERS:
            raise Overloaded(f"agents are giving {MAX_ANSWERS} answers")
        self._answers += 1
        try:
            async with aclosing(known.connection.ask(kind, request, has_token)) as pieces:
                async for piece in pieces:
                    yield piece
        finally:
            self._answers -= 1

    def shown(self) -> list[Mapping[str, object]]:
        """Every agent that is known, by name."""
        return [_shown(self._known[name]) for name in sorted(self._known)]

    def statuses(self) -> dict[str, list[AgentSource]]:
        """How far each connected agent follows its files, by the agents' names."""
        return {name: known.connection.sources for name, known in self._known.items() if known.connection}

    def problems(self) -> list[str]:
        """What somebody should look at: of each agent the first of what it says, `shown` has all of it."""
        of_names = [known.problem for known in self._known.values() if _has_problem(known)]
        said = [(name, known.connection.problems) for name, known in self._known.items() if known.connection]
        return [*of_names, *(_in_short(name, problems) for name, problems in said if problems)]

    def _admitted(self, hello: Hello) -> _Known:
        """The place of an agent that may have its name. Raises `NameTaken`, `Overloaded`."""
        known = self._known.get(hello.name)
        if known is None or known.connection is None:
            if len(self.names()) >= MAX_CONNECTED:
                raise Overloaded(f"{MAX_CONNECTED} agents are connected")
            return known or self._new(hello)
        old = known.connection
        if hello.instance != old.hello.instance and not old.is_late:
            if not _is_successor(hello, known):
                known.problem = (
                    f"two agents are called {hello.name!r}: on {old.hello.host[:60]!r} (pid {old.hello.pid}) "
                    f"and on {hello.host[:60]!r} (pid {hello.pid})"
                )
                known.problem_at = clock.monotonic()
                raise NameTaken(f"{known.problem}, give one another --name")
            known.displaced.append(old.hello.instance)
        old.displace()
        return known

    def _new(self, hello: Hello) -> _Known:
        if len(self._known) >= MAX_KNOWN:
            gone = [(known.seen_ns, name) for name, known in self._known.items() if known.connection is None]
            del self._known[min(gone)[1]]
        return self._known.setdefault(hello.name, _Known(hello))


def _is_successor(hello: Hello, known: _Known) -> bool:
    """Whether an agent is the one of the connection started again, although that seems to live.

    It is on the same machine, and it was not itself succeeded: those that take the name from each other all live.
    """
    old = known.hello
    return (hello.host, hello.machine) == (old.host, old.machine) and hello.instance not in known.displaced


def _in_short(name: str, problems: list[str]) -> str:
    more = f" (and {len(problems) - 1} more)" if problems[1:] else ""
    return f"agent {name[:60]!r}: {problems[0]}{more}"


def _has_problem(known: _Known) -> bool:
    return bool(known.problem) and clock.monotonic() - known.problem_at < _PROBLEM_SECONDS


def _check(hello: Hello) -> None:
    """Raises `BadRequest` for an agent that cannot be talked to."""
    if hello.version != frames.VERSION:
        raise BadRequest(f"the agent speaks version {hello.version} of the channel, this server {frames.VERSION}")
    name = hello.name
    if not 0 < len(name) <= _MAX_NAME_LENGTH or name == "*" or any(unicodedata.category(c) in _UNFIT for c in name):
        raise BadRequest(f"not a name for an agent: {name[:60]!r}")


def _shown(known: _Known) -> Mapping[str, object]:
    hello, connection = known.hello, known.connection
    sources = connection.sources if connection else []
    return {
        "name": hello.name,
        "host": hello.host,
        "version": hello.release,
        "pid": hello.pid,
        "connected": connection is not None,
        "since": clock.to_text(known.since_ns),
        "last_seen": clock.to_text(connection.heard_ns if connection else known.seen_ns),
        "roots": hello.roots,
        "follows": hello.follows,
        "lag_bytes": sum(source.lag_bytes for source in sources),
        "sources": [_shown_source(source) for source in sources],
        "sources_left_out": connection.sources_left_out if connection else 0,
        "problem": known.problem if _has_problem(known) else None,
        "problems": connection.problems if connection else [],
    }


def _shown_source(source: AgentSource) -> Mapping[str, object]:
    last_event = clock.to_text(source.last_event_ns) if source.last_event_ns else None
    return {**msgspec.structs.asdict(source), "lag_bytes": source.lag_bytes, "last_event": last_event}
