"""A sink that is another Logriver's, over HTTP: what a follower needs of one, and nothing is kept here.

A batch whose answer was lost may be on disk or not; whoever puts it again learns it from the server's ledger. So every
trouble on the way is a reason to wait and to put the same again: the files are the buffer.
"""

import asyncio
import hashlib
import logging

import httpx
import msgspec
import zstandard

from logriver import clock
from logriver.decode.wire import ranges
from logriver.errors import BadBody, LogriverError, Overloaded, RangeConflict, Unavailable
from logriver.record import Batch, Known, Receipt
from logriver.ship.address import address, bearer

log = logging.getLogger(__name__)

_PATH = "/api/v1/ranges"
_LINES_PATH = "/api/v1/logs"
_MAX_CONNECTIONS = 4
# Shorter than the server keeps an idle connection.
_IDLE_SECONDS = 30.0
_TIMEOUT = httpx.Timeout(60.0, connect=5.0, pool=None)
# The fastest level: a quarter of the bytes for a few milliseconds a megabyte.
_COMPRESSION_LEVEL = 1
_NOT_LET_IN = frozenset((401, 403))
_TRY_AGAIN = frozenset((408, 429, 500, 502, 503, 504))
_LONGEST_RETRY_SECONDS = 60
# A token may be put right, but the server counts wrong ones, and shuts out who sends too many.
_NOT_LET_IN_SECONDS = 30


class _Detail(msgspec.Struct):
    message: str = ""
    hint: str | None = None
    held_end: int = 0


class _ErrorAnswer(msgspec.Struct):
    error: _Detail


class ServerSink:
    """See `record.Sink`. On one event loop. Raises `BadRequest` for an address or a token that is none."""

    def __init__(self, server: str, token: str = "") -> None:
        server_address = address(server)
        self._url = server_address.url
        self._client = httpx.AsyncClient(
            base_url=server_address.url,
            headers=bearer(token),
            verify=server_address.verify,
            trust_env=not server_address.local,
            timeout=_TIMEOUT,
            limits=httpx.Limits(max_connections=_MAX_CONNECTIONS, keepalive_expiry=_IDLE_SECONDS),
        )
        self._not_let_in = ""
        self._asks_again_at = 0.0

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def put(self, batch: Batch) -> Receipt:
        """See `Sink.put`. Raises `Unavailable` also where it is not known whether the batch is on disk."""
        body = await asyncio.to_thread(_packed, batch)
        headers = {"Content-Type": ranges.CONTENT_TYPE, "Content-Encoding": "zstd"}
        answer = await self._ask("POST", content=body, headers=headers)
        try:
            return msgspec.json.decode(answer.content, type=Receipt)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Unavailable(f"{self._url!r} does not answer like a logriver") from None

    async def known(self, follower: str) -> Known:
        """See `Sink.known`."""
        answer = await self._ask("GET", params={"follower": follower, "format": str(ranges.FORMAT)})
        return await asyncio.to_thread(ranges.decode_known, answer.content)

    async def put_lines(self, lines: bytes) -> None:
        """Store NDJSON that is of no file: the agent's internal log. Repeating stores it once. Raises as `put` does."""
        headers = {"Idempotency-Key": hashlib.sha256(lines).hexdigest()}
        await self._ask("POST", path=_LINES_PATH, content=lines, headers=headers)

    async def _ask(self, method: str, path: str = _PATH, **request: object) -> httpx.Response:
        left_seconds = self._asks_again_at - clock.monotonic()
        if left_seconds > 0:
            raise Unavailable(self._not_let_in, retry_after_seconds=int(left_seconds) + 1)
        try:
            answer = await self._client.request(method, path, **request)  # type: ignore[arg-type]
        except httpx.HTTPError as error:
            raise Unavailable(f"no answer from {self._url!r}: {str(error) or type(error).__name__}") from None
        if answer.status_code != httpx.codes.OK:
            raise self._refusal(answer)
        return answer

    def _refusal(self, answer: httpx.Response) -> LogriverError:
        """What an answer other than 200 means to a follower."""
        status = answer.status_code
        try:
            detail = msgspec.json.decode(answer.content, type=_ErrorAnswer).error
        except (msgspec.DecodeError, UnicodeDecodeError):
            detail = _Detail(f"status {status}: {answer.text[:200]!r}")
        if status == RangeConflict.status:
            return RangeConflict(detail.message, held_end=detail.held_end)
        if status in _TRY_AGAIN:
            kind = Overloaded if status == Overloaded.status else Unavailable
            return kind(f"the server: {detail.message}", retry_after_seconds=_retry_after(answer), hint=detail.hint)
        if status in _NOT_LET_IN:
            self._not_let_in = f"{self._url!r} does not let this agent in: {detail.message}"
            self._asks_again_at = clock.monotonic() + _NOT_LET_IN_SECONDS
            log.error(self._not_let_in, extra={"fields": {"hint": "give it the server's token"}})
            return Unavailable(self._not_let_in, retry_after_seconds=_NOT_LET_IN_SECONDS)
        return BadBody(f"{self._url!r} refuses what this agent sends: {detail.message}", hint=detail.hint)


def _packed(batch: Batch) -> bytes:
    return zstandard.ZstdCompressor(level=_COMPRESSION_LEVEL).compress(ranges.encode_batch(batch))


def _retry_after(answer: httpx.Response) -> int:
    text = answer.headers.get("Retry-After", "")
    return min(int(text), _LONGEST_RETRY_SECONDS) if text.isdecimal() else 1
