"""The machines whose files can be read from here: this one, and every one that has an agent."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import replace

import msgspec

from logriver.errors import LogriverError, TooLarge
from logriver.federated.agent_registry import Agents
from logriver.federated.merged import merged
from logriver.federated.searched import searched
from logriver.files import request as requests
from logriver.files.asked import AskedFiles, Kind
from logriver.files.listing import Listing
from logriver.files.request import FileSearchRequest, ListRequest, LogRequest

ALL = "*"
"""Stands for every machine."""

_MAX_LISTING_BYTES = 16_000_000


class Hosts:
    """Sends requests to the machine that a caller names. An empty name is this machine's.

    `name` is this machine's own; an agent that has the same name stands for it.
    """

    def __init__(self, name: str, own: AskedFiles, agents: Agents) -> None:
        self._name = name
        self._own = own
        self._agents = agents

    def lines(self, host: str, request: LogRequest, has_token: bool) -> AsyncGenerator[bytes, None]:
        """The lines of one machine as they are; of `*` those of all, by time, each after its machine's name.

        Raises, before the first piece, the machine's own refusal, `BadRequest` for an unknown one, and `Unavailable`;
        afterwards what keeps the answer from being whole.
        """
        text = requests.encode(request)
        if host != ALL:
            return self._answer(host, "logs", text, has_token)
        return merged({name: self._answer(name, "timed", text, has_token) for name in self._names()}, request.n)

    def search(self, host: str, request: FileSearchRequest, has_token: bool) -> AsyncGenerator[bytes, None]:
        """The events of a search on one machine, or on all of them for `*`, which share the bytes to be read.

        Raises, before the first piece, what kept each machine from beginning.
        """
        names = self._names() if host == ALL else [host or self._name]
        text = requests.encode(replace(request, max_bytes=max(1, request.max_bytes // len(names))))
        answers = {name: self._answer(name, "search", text, has_token) for name in names}
        return searched(answers, request.limit)

    async def listing(self, host: str, request: ListRequest, has_token: bool) -> Listing:
        """What is in a directory of one machine. Raises as `lines` does."""
        async with aclosing(self._answer(host, "list", requests.encode(request), has_token)) as pieces:
            text = await _joined(pieces)
        try:
            return msgspec.json.decode(text, type=Listing)
        except msgspec.DecodeError as error:
            raise LogriverError(f"{host[:60]!r} gave what is no listing: {error}") from None

    def _names(self) -> list[str]:
        """The machines whose lines are expected; those that are gone say so when they are asked."""
        return sorted({self._name, *self._agents.expected_names()})

    def _answer(self, host: str, kind: Kind, request: bytes, has_token: bool) -> AsyncGenerator[bytes, None]:
        if not host or (host == self._name and not self._agents.is_connected(host)):
            return self._own.answer(kind, request, has_token)
        return self._agents.ask(host, kind, request, has_token)


async def _joined(pieces: AsyncIterator[bytes]) -> bytes:
    found, length = [], 0
    async for piece in pieces:
        found.append(piece)
        length += len(piece)
        if length > _MAX_LISTING_BYTES:
            raise TooLarge(f"the listing has more than {_MAX_LISTING_BYTES} bytes")
    return b"".join(found)
