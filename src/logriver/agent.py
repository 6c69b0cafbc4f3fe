"""The agent, put together: follows files into another machine's server, and keeps nothing itself.

The server's ledger says where to go on, so an agent that was killed, or installed anew, neither loses nor doubles a
line. While the server is away the files are the buffer.
"""

import asyncio
import contextlib
import gc
import logging
import signal
import sys

from logriver import __version__
from logriver.allocator import give_back_blocks
from logriver.files.answers import FileAnswers
from logriver.files.asked import AskedFiles
from logriver.files.roots import Roots
from logriver.follow.follower import Follower
from logriver.settings import AgentSettings
from logriver.ship.channel import Agent, Channel
from logriver.ship.frames import Source
from logriver.ship.server_sink import ServerSink
from logriver.telemetry.store_log import own_log_stored
from logriver.threads import SupervisedTask

# A chunk takes several megabytes while it is decoded and sent; more at once would be no faster.
_FILES_AT_ONCE = 3
_FOLLOW_AGAIN_SECONDS = 2.0
_CHANNEL_AGAIN_SECONDS = 10.0
_STOP_SECONDS = 10.0

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
        self._follower = Follower(self._sink, settings, at_once=_FILES_AT_ONCE)
        files = AskedFiles(
            FileAnswers(Roots(settings.files_root), settings.max_file_reads, self._follower.places),
            chosen="files_root" in settings.model_fields_set,
        )
        self._channel = Channel(
            settings.server,
            token,
            Agent(self._follower.name, settings.files_root, settings.follow),
            lambda ask: files.answer(ask.kind, ask.request, ask.has_token),
            self._sources,
            # The server may have been restored meanwhile.
            self._follower.doubt_ledger,
        )

    async def serve(self) -> None:
        """Do everything that an agent does, until a signal says to stop."""
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        sys.stdout.write(f"logriver agent {self._follower.name} follows into {self._settings.server}\n")
        sys.stdout.flush()
        loops = {
            SupervisedTask(
                "follower",
                "files are not followed",
                first_backoff_seconds=_FOLLOW_AGAIN_SECONDS,
                last_backoff_seconds=_FOLLOW_AGAIN_SECONDS,
                late_seconds=None,
            ): self._follower.run,
            SupervisedTask(
                "channel",
                "the channel to the server stopped",
                first_backoff_seconds=_CHANNEL_AGAIN_SECONDS,
                late_seconds=None,
            ): self._channel.run,
        }
        for loop, turn in loops.items():
            loop.start(turn)
        try:
            async with self._own_log_stored():
                log.info("following", extra={"fields": {"version": __version__, "server": self._settings.server}})
                await stop.wait()
        finally:
            await asyncio.gather(*(loop.stop(_STOP_SECONDS) for loop in loops))
            await self._sink.close()

    def _own_log_stored(self) -> contextlib.AbstractAsyncContextManager[None]:
        if not self._settings.own_logs:
            return contextlib.nullcontext()
        return own_log_stored(self._sink.put_lines, self._follower.name)

    def _sources(self) -> list[Source]:
        return [
            Source(
                status.path,
                status.format,
                status.held_bytes,
                status.size_bytes,
                status.last_event_ns,
                status.error,
                len(status.gaps),
                status.file,
                status.generation,
                status.lag_seconds,
            )
            for status in self._follower.sources()
        ]
