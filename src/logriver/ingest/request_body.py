"""The body of one request, as its endpoint takes it: whole and decoded where that holds nobody up, or as it arrives."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from typing import TypeVar

from logriver.ingest.body import BodyLimits, Receive, Scope, header, read_body, read_pieces
from logriver.ingest.decompress import PLAIN, decompress
from logriver.ingest.inflate import Inflater, inflater
from logriver.ingest.memory_budget import Reservation

SMALL_BODY_BYTES = 16 * 1024
"""Bodies of at most so many bytes are decoded on the event loop: a thread would take longer to wake."""

Decoded = TypeVar("Decoded")


class RequestBody:
    """Nothing of it is read before it is asked for. On the event loop."""

    def __init__(
        self, scope: Scope, receive: Receive, reservation: Reservation, limits: BodyLimits, thread: Executor
    ) -> None:
        self._scope = scope
        self._receive = receive
        self._reservation = reservation
        self._limits = limits
        self._thread = thread
        self._sent: bytes | None = None

    async def read(self) -> bytes:
        """The body as it was sent, read only once. Raises what `body.read_body` raises."""
        if self._sent is None:
            self._sent = await read_body(self._scope, self._receive, self._reservation, self._limits)
        return self._sent

    async def decode(self, work: Callable[[bytes], Decoded], *, on_thread: bool = False) -> Decoded:
        """What `work` makes of the whole body, decompressed.

        Small bodies are decoded here, others `on_thread`, that of the protocol: `work` may run on either, and needs
        decoders for each. Raises what `read`, `decompress` and `work` raise.
        """
        body = await self.read()
        encoding = header(self._scope, b"content-encoding").lower()
        if len(body) <= SMALL_BODY_BYTES and not encoding and not on_thread:
            return work(body)

        def decompress_first() -> Decoded:
            sent, grow = len(body), self._reservation.grow_to
            return work(decompress(body, encoding, self._limits.max_body_bytes, lambda size: grow(sent + size)))

        return await asyncio.get_running_loop().run_in_executor(self._thread, decompress_first)

    def reserve(self, size: int) -> None:
        """Have `size` bytes more, until the request is answered. For any thread. Raises `Overloaded`."""
        self._reservation.grow_by(size)

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body as it arrives, for as long as its sender likes: for clients whose requests stay open.

        What is compressed is inflated. A piece is reserved until the next one is asked for. The end of the iteration is
        the end of the body; a client that leaves midway is `ClientGone`. Raises `Overloaded`, `UnknownEncoding`, and
        `BadBody` for what is not in its encoding.
        """
        encoding = header(self._scope, b"content-encoding").lower()
        inflating = None if encoding in PLAIN else inflater(encoding)
        if inflating is not None:
            self._reservation.grow_by(inflating.kept_bytes)
        async for piece in read_pieces(self._receive):
            self._reservation.grow_by(len(piece))
            if inflating is None:
                yield piece
            else:
                async for inflated in self._inflated(piece, inflating):
                    yield inflated
            self._reservation.shrink_by(len(piece))
        if inflating is not None:
            inflating.end()

    async def _inflated(self, piece: bytes, inflating: Inflater) -> AsyncIterator[bytes]:
        inflating.feed(piece)
        while inflating.has_more:
            # Taken before it is needed, and given back as far as it was not.
            self._reservation.grow_by(inflating.step_bytes)
            inflated = await asyncio.get_running_loop().run_in_executor(self._thread, inflating.step)
            self._reservation.shrink_by(inflating.step_bytes - len(inflated))
            if inflated:
                yield inflated
            self._reservation.shrink_by(len(inflated))
