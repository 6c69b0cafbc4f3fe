"""Waking up: which paths changed, as the kernel tells, and at least once a second whatever it tells.

File events make following quick, the second makes it sure: events are lost on network file systems, when a directory
appears later, and when the kernel's queue overflows.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path

from watchfiles import Change, awatch

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
# A writer that never pauses wakes us after so long at the latest; one that pauses, after a step.
_GATHER_MS = 50
_STEP_MS = 10


async def wakings(directories: Callable[[], set[Path]]) -> AsyncGenerator[set[str], None]:
    """The paths that changed in `directories()` since the last time, again and again; an empty set each second.

    `directories` is asked after each waking, so that it can follow what appears. Runs until it is closed.
    """
    while True:
        watched = _existing(directories())
        told_of = [directory for directory in watched if _is_utf8(directory)]
        changed_paths = _events(told_of) if told_of else _seconds()
        async with aclosing(changed_paths):
            async for changed in changed_paths:
                yield changed
                if _existing(directories()) != watched:
                    break


async def _events(watched: list[Path]) -> AsyncGenerator[set[str], None]:
    """Events of the directories; whatever the kernel or watchfiles refuses is said once and tried again each second.

    A name that is not UTF-8 is such a thing: an event about it ends the watching.
    """
    said = ""
    while True:
        events = awatch(
            *watched,
            watch_filter=None,
            debounce=_GATHER_MS,
            step=_STEP_MS,
            rust_timeout=int(POLL_SECONDS * 1000),
            yield_on_timeout=True,
            recursive=False,
            ignore_permission_denied=True,
        )
        try:
            async with aclosing(events):
                async for changes in events:
                    yield _paths(changes)
        except (OSError, RuntimeError) as error:
            reason = str(error)
        except ExceptionGroup as errors:
            if errors.split((OSError, RuntimeError))[1]:
                raise
            reason = str(errors.exceptions[0])
        else:
            return
        if reason != said:
            log.warning("no file events for now, looking once a second: %s", reason)
            said = reason
        await asyncio.sleep(POLL_SECONDS)
        yield set()


def _is_utf8(directory: Path) -> bool:
    """Whether watchfiles can be given the path; what is in others is seen once a second."""
    try:
        str(directory).encode()
    except UnicodeEncodeError:
        return False
    return True


def _paths(changes: set[tuple[Change, str]]) -> set[str]:
    return {path for _, path in changes}


async def _seconds() -> AsyncGenerator[set[str], None]:
    while True:
        await asyncio.sleep(POLL_SECONDS)
        yield set()


def _existing(directories: set[Path]) -> dict[Path, int]:
    """The directories that are there, with their inodes: one that was made anew must be watched anew."""
    found = {}
    for directory in directories:
        try:
            found[directory] = directory.stat().st_ino
        except OSError:
            continue
    return found
