"""The server's end of an agent's sink, as plain ASGI: batches with their range of a file, and what the ledger has.

`POST /api/v1/ranges` puts a batch as a follower of our own would, and answers when it is on disk: 409 says where to go
on. `GET /api/v1/ranges?follower=NAME` is the ledger for that follower. `decode/wire/ranges.py` has the format.
"""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs

import msgspec

from logriver import metrics
from logriver.decode.row_check import RowCheck
from logriver.decode.wire import ranges
from logriver.errors import BadRequest, LogriverError
from logriver.ingest.answer import Send, refusal, send_answer
from logriver.ingest.body import BodyLimits, ClientGone, Receive, Scope, header, read_body
from logriver.ingest.decompress import inflate
from logriver.ingest.memory_budget import Reservation
from logriver.record import Batch, Sink

_accepted = metrics.accepted.labels(way="agent")
_rejected = metrics.rejected.labels(way="agent")
log = logging.getLogger(__name__)


class Ranges:
    """An ASGI application for the calls in `CALLS`, methods and paths."""

    CALLS = frozenset((("POST", "/api/v1/ranges"), ("GET", "/api/v1/ranges")))

    def __init__(self, sink: Sink, limits: BodyLimits) -> None:
        self._sink = sink
        self._limits = limits
        self._rows = RowCheck(limits.max_record_bytes)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ranges")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whatever it brings."""
        try:
            if scope["method"] == "GET":
                await send_answer(send, 200, await self._ledger(scope), content_type=ranges.CONTENT_TYPE.encode())
            else:
                await send_answer(send, 200, await self._put(scope, receive))
        except ClientGone:
            return
        except LogriverError as error:
            await send_answer(send, *refusal(error))
        except Exception:
            log.exception("request of an agent failed")
            await send_answer(send, *refusal(LogriverError("something went wrong in the server")))

    async def _ledger(self, scope: Scope) -> bytes:
        names = parse_qs(scope["query_string"].decode("latin-1")).get("follower", [])
        if len(names) != 1:
            raise BadRequest("a parameter 'follower' is needed, once")
        held = await self._sink.known(names[0])
        return await asyncio.to_thread(ranges.encode_ledger, held)

    async def _put(self, scope: Scope, receive: Receive) -> bytes:
        with Reservation(self._limits.inflight) as reservation:
            body = await read_body(scope, receive, reservation, self._limits)
            encoding = header(scope, b"content-encoding").lower()

            def work() -> Batch:
                reserve = reservation.grow_to
                inflated = inflate(body, encoding, self._limits.max_body_bytes, lambda size: reserve(len(body) + size))
                # The rows are there twice for a moment: in the body, and cut out of it.
                reserve(len(body) + 2 * len(inflated))
                return ranges.decode_batch(inflated, self._rows)

            batch = await asyncio.get_running_loop().run_in_executor(self._thread, work)
            receipt = await self._sink.put(batch)
        _accepted.inc(receipt.accepted)
        _rejected.inc(len(batch.dead))
        if batch.range is not None:
            metrics.followed_bytes.inc(batch.range.end - batch.range.start)
            if batch.range.gap is not None and batch.range.gap.lost:
                metrics.followed_gaps.inc()
                metrics.followed_lost_bytes.inc(batch.range.gap.bytes)
        return msgspec.json.encode(receipt)
