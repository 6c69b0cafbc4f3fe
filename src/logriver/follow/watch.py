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
        changed_paths = _events(watched) if watched else _seconds()
        async with aclosing(changed_paths):
            async for changed in changed_paths:
                yield changed
                if _existing(directories()) != watched:
                    break


async def _events(watched: dict[Path, int]) -> AsyncGenerator[set[str], None]:
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
        log.warning("file events are not available, looking once a second: %s", error)
        async for nothing in _seconds():
            yield nothing


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
