"""Waking up: which paths changed, as the kernel says, and at least once a second whatever it says.

File events make following quick, the second makes it sure: events are lost on network file systems, when a directory
appears later, and when the kernel's queue overflows.
"""

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from functools import partial
from pathlib import Path

from watchfiles._rust_notify import RustNotify

from logriver.follow.file_calls import FileCalls, progressed
from logriver.follow.found_files import Directories

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
# A writer that never pauses wakes us after so long at the latest; one that pauses, after a step.
_GATHER_MS = 50
_STEP_MS = 10


async def wakings(directories: Callable[[], Directories], calls: FileCalls) -> AsyncGenerator[set[str], None]:
    """The paths that changed in `directories()` since the last time, again and again; an empty set each second.

    `directories` is asked after each waking, so that it can follow what appears. Runs until it is closed.
    """
    while True:
        watched = directories()
        named = [str(directory) for directory in watched if _is_utf8(directory)]
        changed_paths = _events(named, calls) if named else _seconds()
        async with aclosing(changed_paths):
            async for changed in changed_paths:
                yield changed
                if directories() != watched:
                    break


async def _events(watched: list[str], calls: FileCalls) -> AsyncGenerator[set[str], None]:
    """Events of the directories; whatever the kernel or watchfiles refuses is said once and tried again each second.

    A name that is not UTF-8 is such a thing: an event about it ends the watching.
    """
    said = ""
    while True:
        stop = _Stop()
        try:
            # It goes through the paths, which may hang. When the last step has let go of it, it closes itself.
            notify = await calls.run("watch", partial(RustNotify, watched, False, False, 0, False, True))
            while True:
                yield await calls.run("watch", partial(_changes, notify, stop))
        except (OSError, RuntimeError) as error:
            reason = str(error)
        finally:
            stop.set()
        if reason != said:
            log.warning("no file events for now, looking once a second: %s", reason)
            said = reason
        await asyncio.sleep(POLL_SECONDS)
        yield set()


class _Stop(threading.Event):
    """Asked by the watching all the time, which shows that it goes on."""

    def is_set(self) -> bool:
        """Whether to stop."""
        progressed()
        return super().is_set()


def _changes(notify: RustNotify, stop: _Stop) -> set[str]:
    """Wait for events, for a second at most."""
    changes = notify.watch(_GATHER_MS, _STEP_MS, int(POLL_SECONDS * 1000), stop)
    return set() if isinstance(changes, str) else {path for _, path in changes}


def _is_utf8(directory: Path) -> bool:
    """Whether watchfiles can be given the path; what is in others is seen once a second."""
    try:
        str(directory).encode()
    except UnicodeEncodeError:
        return False
    return True


async def _seconds() -> AsyncGenerator[set[str], None]:
    while True:
        await asyncio.sleep(POLL_SECONDS)
        yield set()
