"""What all ingest endpoints over HTTP share: read, decompress, reserve, decode, put, count, answer. Plain ASGI.

    endpoint by route -> memory reserved -> endpoint.decode -> sink.put -> counted -> endpoint.answer
                                              |        |                                |
                                            body read and decompressed           any error: endpoint.refuse

Large bodies are decoded on a thread, one for each protocol, so that the event loop answers others meanwhile and one
protocol does not wait for another.
"""

import asyncio
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing

from logriver import metrics
from logriver.errors import LogriverError
from logriver.file_position import FileRange
from logriver.ingest.answer import Send, send_answer
from logriver.ingest.body import QUIET_BODY, BodyLimits, ClientGone, Receive, Scope
from logriver.ingest.endpoint import Answer, Endpoint, Outcome, Outcomes, Request, Route
from logriver.ingest.memory_budget import Reservation
from logriver.ingest.request_body import RequestBody
from logriver.record import Batch, Receipt, Sink

log = logging.getLogger(__name__)

_VALUE = re.compile(r"\\\{(\w+)\\\}")
_Found = tuple["_Mounted", Route, Mapping[str, str]]


class Pipeline:
    """An ASGI application for the calls of `endpoints`. On one event loop."""

    def __init__(self, sink: Sink, limits: BodyLimits, endpoints: Iterable[Endpoint]) -> None:
        self._sink = sink
        self._limits = limits
        self._calls: dict[tuple[str, str], _Found] = {}
        self._patterns: list[tuple[str, re.Pattern[str], _Mounted, Route]] = []
        threads: dict[str, ThreadPoolExecutor] = {}
        for endpoint in endpoints:
            name = endpoint.protocol
            thread = threads.setdefault(name, ThreadPoolExecutor(1, thread_name_prefix=f"ingest-{name}"))
            self._mount(_Mounted(endpoint, thread))

    def _mount(self, mounted: "_Mounted") -> None:
        for route in mounted.endpoint.routes:
            if "{" in route.path:
                pattern = re.compile(_VALUE.sub(r"(?P<\1>[^/]+)", re.escape(route.path)))
                self._patterns.append((route.method, pattern, mounted, route))
            else:
                self._calls[route.method, route.path] = mounted, route, {}

    @property
    def routes(self) -> list[Route]:
        """The calls of all endpoints."""
        return [route for _, route, _ in self._calls.values()] + [route for *_, route in self._patterns]

    def handles(self, scope: Scope) -> bool:
        """Whether a request is one of the endpoints' calls."""
        return scope["type"] == "http" and self._found(scope) is not None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request that this `handles`, whatever it brings."""
        found = self._found(scope)
        assert found is not None, "asked for a call that no endpoint has"
        mounted, route, values = found
        if route.quiet:
            scope[QUIET_BODY] = True
        request = Request(scope, route, values)
        with Reservation(self._limits.budget) as reservation:
            body = RequestBody(scope, receive, reservation, self._limits, mounted.thread)
            try:
                answer = await self._answer(mounted, request, body)
            except ClientGone:
                return
        await send_answer(send, answer.status, answer.body, answer.headers, answer.content_type)

    def _found(self, scope: Scope) -> _Found | None:
        method, path = scope["method"], scope["path"]
        if found := self._calls.get((method, path)):
            return found
        for its_method, pattern, mounted, route in self._patterns:
            if its_method == method and (matched := pattern.fullmatch(path)):
                return mounted, route, matched.groupdict()
        return None

    async def _answer(self, mounted: "_Mounted", request: Request, body: RequestBody) -> Answer:
        endpoint = mounted.endpoint
        try:
            return await endpoint.answer(request, await self._take(mounted, request, body))
        except LogriverError as error:
            return endpoint.refuse(request, error)
        except ClientGone:
            raise
        except Exception:
            log.exception("request failed")
            return endpoint.refuse(request, LogriverError("something went wrong in the server"))

    async def _take(self, mounted: "_Mounted", request: Request, body: RequestBody) -> Outcomes:
        """Put all that the body brings. Raises `LogriverError`, also where nothing of a group could be put."""
        outcomes = Outcomes()
        async with aclosing(mounted.endpoint.decode(request, body)) as groups:
            async for group in groups:
                if not await self._put(group, mounted, outcomes):
                    break
        return outcomes

    async def _put(self, group: Sequence[Batch], mounted: "_Mounted", outcomes: Outcomes) -> bool:
        """Put a group and note what became of it; False if some of it could not be put. Raises if all of it could not.

        The puts of a group begin together, so that they share a group commit.
        """
        if len(group) == 1:
            outcomes.add(await self._put_alone(group[0], mounted))
            return True
        results = await asyncio.gather(*(self._put_alone(batch, mounted) for batch in group), return_exceptions=True)
        errors = [result for result in results if isinstance(result, BaseException)]
        unexpected = [error for error in errors if not isinstance(error, LogriverError)]
        if errors and (unexpected or len(errors) == len(results)):
            raise (unexpected or errors)[0]
        for batch, result in zip(group, results, strict=True):
            if isinstance(result, LogriverError):
                result = Outcome(batch.decoded.count, [*batch.decoded.refused], error=result)
            assert isinstance(result, Outcome)
            outcomes.add(result)
        return not errors

    async def _put_alone(self, batch: Batch, mounted: "_Mounted") -> Outcome:
        decoded = batch.decoded
        if not (decoded.count or batch.dead or batch.position):
            mounted.rejected.inc(len(decoded.refused))
            return Outcome(0, [*decoded.refused])
        receipt = await self._sink.put(batch)
        mounted.count(batch, receipt)
        return Outcome(decoded.count, [*decoded.refused], receipt)


class _Mounted:
    """An endpoint with the thread of its protocol and what counts its records."""

    def __init__(self, endpoint: Endpoint, thread: ThreadPoolExecutor) -> None:
        self.endpoint = endpoint
        self.thread = thread
        self.accepted = metrics.accepted.labels(protocol=endpoint.protocol)
        self.rejected = metrics.rejected.labels(protocol=endpoint.protocol)

    def count(self, batch: Batch, receipt: Receipt) -> None:
        """Count a batch that is on disk; what came before was counted then."""
        if receipt.duplicate:
            return
        self.accepted.inc(receipt.accepted)
        if rejected := receipt.rejected + len(batch.dead):
            self.rejected.inc(rejected)
        if batch.range is not None:
            _count_range(batch.range)


def _count_range(range: FileRange) -> None:
    metrics.followed_bytes.inc(range.end - range.start)
    if range.gap is not None and range.gap.lost:
        metrics.followed_gaps.inc()
        metrics.followed_lost_bytes.inc(range.gap.bytes)
