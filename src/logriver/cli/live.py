"""Following a search text: the records that arrive, each once, over any number of connections.

The server's cursor stands behind each record. A connection that is lost is made again after it, so nothing is missed
and nothing comes twice, also when it was the server that went away.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import msgspec

from logriver.cli.client import ErrorDetail, stream, whole_lines
from logriver.cli.render import output
from logriver.errors import LogriverError, Unavailable

# A server that has nothing to send sends a comment every 15 s.
_SILENCE_SECONDS = 45.0
_FIRST_WAIT_SECONDS = 1.0
_LONGEST_WAIT_SECONDS = 5.0
# Errors in the middle of a tail that pass by themselves.
_PASSING = frozenset({"overloaded", "unavailable", "store"})


@dataclass(slots=True)
class _Event:
    """What the server sent: `cursor` stands behind it."""

    cursor: str
    kind: str
    data: bytes


class Arrivals:
    """Documents as they arrive, as JSON texts; an empty one says that the tail has begun or still goes on.

    `after` is a cursor of the server's, of a tail or of a page; without one, what arrives from now on.
    """

    def __init__(self, client: httpx.Client, query: str, after: str = "") -> None:
        self._client = client
        self._query = query
        self._after = after
        self._cursor = ""
        self._is_lost = False

    def __iter__(self) -> Iterator[bytes]:
        """Does not end. Raises what the server refuses, and at the first time also that it is not there."""
        wait_seconds = _FIRST_WAIT_SECONDS
        while True:
            try:
                for event in self._events():
                    wait_seconds = _FIRST_WAIT_SECONDS
                    self._cursor = event.cursor
                    yield event.data
                raise Unavailable("the server ended the tail")
            except Unavailable as error:
                if not self._cursor:
                    raise
                self._lost(error)
                time.sleep(max(wait_seconds, error.retry_after_seconds))
                wait_seconds = min(2 * wait_seconds, _LONGEST_WAIT_SECONDS)

    def _events(self) -> Iterator[_Event]:
        """What one connection brings. Raises `Unavailable` when it is lost."""
        headers = {"Accept": "text/event-stream"}
        if self._cursor:
            headers["Last-Event-ID"] = self._cursor
        params = {"q": self._query} | ({"after": self._after} if self._after else {})
        with stream(self._client, "/api/v1/tail", params, headers, _SILENCE_SECONDS) as answer:
            for event in _parsed(whole_lines(answer.iter_bytes())):
                if event.kind == "error":
                    raise _failure(event.data)
                self._found_again()
                yield event

    def _lost(self, error: Unavailable) -> None:
        if not self._is_lost:
            output.note(f"connection lost: {error.message}; trying again")
        self._is_lost = True

    def _found_again(self) -> None:
        if self._is_lost:
            output.note("connected again")
        self._is_lost = False


def _parsed(lines: Iterator[bytes]) -> Iterator[_Event]:
    """Server-sent events, as far as this server uses them: each ends with an empty line."""
    event = _Event("", "", b"")
    for line in lines:
        name, _, value = line.partition(b": ")
        if name == b"id":
            event.cursor = value.decode()
        elif name == b"event":
            event.kind = value.decode()
        elif name == b"data":
            event.data = value
        elif not line:
            yield event
            event = _Event(event.cursor, "", b"")


def _failure(data: bytes) -> LogriverError:
    detail = msgspec.json.decode(data, type=ErrorDetail)
    kind = Unavailable if detail.code in _PASSING else LogriverError
    return kind(detail.message, hint=detail.hint)
