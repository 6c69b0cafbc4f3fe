"""The agent, put together: follows files into another machine's server, and keeps nothing itself.

The server's ledger says where to go on, so an agent that was killed, or installed anew, neither loses nor doubles a
line. While the server is away the files are the buffer.
"""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable

from logriver import __version__
from logriver.allocator import give_back_blocks
from logriver.decode.reference import ReferenceDecoder
from logriver.files.answers import FileAnswers
from logriver.files.asked import AskedFiles
from logriver.files.roots import Roots
from logriver.follow.follower import Follower
from logriver.settings import AgentSettings
from logriver.ship.channel import Agent, Channel
from logriver.ship.frames import AgentSource
from logriver.ship.server_sink import ServerSink
from logriver.telemetry.store_log import internal_log_stored
from logriver.threads import SupervisedTask, ending_executor

# A chunk takes several megabytes while it is decoded and sent; more at once would be no faster.
_FILES_AT_ONCE = 3
_AGAIN_SECONDS = 2.0
_CANCEL_SECONDS = 5.0

_LARGE_BLOCK_BYTES = 400_000
_ARENAS = 2

log = logging.getLogger(__name__)


def run(settings: AgentSettings) -> None:
    """Follow until SIGTERM or SIGINT, which may come at any point.

    Raises `SettingsError` and `BadRequest` for what cannot be followed or asked.
    """
    give_back_blocks(_LARGE_BLOCK_BYTES, arenas=_ARENAS)
    agent = _Agent(settings)
    # Objects that live as long as the process need not be looked at again.
    gc.collect()
    gc.freeze()
    asyncio.run(agent.serve())


class _Agent:
    def __init__(self, settings: AgentSettings) -> None:
        self._settings = settings
        token = settings.token.get_secret_value()
        self._sink = ServerSink(settings.server, token)
        self._follower = Follower(self._sink, settings, ReferenceDecoder, at_once=_FILES_AT_ONCE)
        roots, file_keys = Roots(settings.files_root), self._follower.file_keys
        self._answers = FileAnswers(roots, settings.max_file_reads, file_keys, ReferenceDecoder)
        files = AskedFiles(self._answers, chosen="files_root" in settings.model_fields_set)
        self._channel = Channel(
            settings.server,
            token,
            Agent(self._follower.name, settings.files_root, settings.follow),
            lambda ask: files.answer(ask.kind, ask.request, ask.has_token),
            self._sources,
            # The server may have been restored meanwhile.
            self._follower.doubt_ledger,
            self._problems,
        )
        self._loops: list[SupervisedTask] = []
        self._internal_log: SupervisedTask | None = None

    async def serve(self) -> None:
        """Do everything that an agent does, until a signal says to stop."""
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        sys.stdout.write(f"logriver agent {self._follower.name} follows into {self._settings.server}\n")
        sys.stdout.flush()
        end_threads = ending_executor(asyncio.get_running_loop())
        self._loops = [
            _begun("follow", "following files has to wait", self._follow),
            _begun("channel", "the channel to the server stopped", self._keep_channel),
        ]
        try:
            async with self._internal_log_stored() as self._internal_log:
                log.info("following", extra={"fields": {"version": __version__, "server": self._settings.server}})
                await stop.wait()
        finally:
            stopped = await asyncio.gather(*(loop.stop(_CANCEL_SECONDS) for loop in self._loops))
            await self._sink.close()
            ended = [end_threads(_CANCEL_SECONDS), self._answers.stop(_CANCEL_SECONDS), *stopped]
            if not all(ended):
                # The interpreter would wait for what does not end; nothing of an agent has to be kept.
                os._exit(0)

    def _internal_log_stored(self) -> contextlib.AbstractAsyncContextManager[SupervisedTask | None]:
        if not self._settings.internal_logs:
            return contextlib.nullcontext()
        return internal_log_stored(self._sink.put_lines, self._follower.name)

    async def _follow(self) -> float:
        """Follow files for as long as the agent lives."""
        await self._follower.run()
        return _AGAIN_SECONDS

    async def _keep_channel(self) -> float:
        """Answer the server's requests for files for as long as the agent lives."""
        await self._channel.run()
        return _AGAIN_SECONDS

    def _problems(self) -> list[str]:
        """What keeps the agent from its work now; the server shows it."""
        loops = [*self._loops, self._internal_log] if self._internal_log else self._loops
        return [*(problem for loop in loops for problem in loop.problems), *self._follower.problems]

    def _sources(self) -> list[AgentSource]:
        return [
            AgentSource(
                status.path,
                status.format,
                status.committed_bytes,
                status.size_bytes,
                status.last_event_ns,
                status.error,
                len(status.gaps),
                status.file,
                status.identity,
                status.lag_seconds,
            )
            for status in self._follower.sources()
        ]


def _begun(name: str, trouble: str, turn: Callable[[], Awaitable[float]]) -> SupervisedTask:
    """A loop that goes on for as long as the agent lives."""
    loop = SupervisedTask(
        name, trouble, first_backoff_seconds=_AGAIN_SECONDS, last_backoff_seconds=_AGAIN_SECONDS, late_seconds=None
    )
    loop.start(turn)
    return loop
