"""What a protocol has to say to bring records in over HTTP: the interface between the pipeline and `endpoints/`.

The pipeline finds the endpoint by its routes, limits and reads the body, reserves memory, decompresses, puts the
batches into the sink, counts and sends the answer. An endpoint makes batches of a body, and words of what became of
them.

How the protocols to come fit:

OTLP             one body, one batch. `request.header(b"content-type")` decides between protobuf and JSON, for `answer`
                 and `refuse` too; `outcomes.rejected` and the first reason are its partial success.
Elasticsearch    `/_bulk` and `/{index}/_bulk`, the index in `request.values`. The decoder numbers actions from 1, so
                 `outcomes.items()` is the answer's `items` in order. A document that is `create`d under an `_id` is a
                 batch with a key, yielded in one group with the others; `DUPLICATE` is its 409. Its handshakes
                 (`GET /`, `GET /_license`) are routes that yield no batch.
Loki             one body, one batch; 204 without a body, refusals as text. Snappy is the protocol's, not the
                 transport's: its decoder unpacks it, and takes the memory with `body.reserve`.
Splunk HEC       values one after the other, as `decode_body` reads them; the first REFUSED item is
                 `invalid-event-number`. `/services/collector/ack` yields no batch: what was answered is on disk.
                 The token in `Authorization: Splunk` is `auth/`'s, which knows all spellings of credentials.
Datadog          one body, one batch, 202 `{}`; a key in the path is in `request.values`, and `auth/`'s to look at.
journald         A `quiet` route, `body.pieces()`: entries are decoded as they arrive and each group is on disk before
                 more is read, for hours. Each batch carries the stream's position, so that what is sent again is a
                 duplicate.
Logplex          one body, one batch with the key of `Logplex-Frame-Id`.
Firehose         one body, one batch with the key `requestId`, which `decode` finds in the body and notes in
                 `request.notes` for `answer` and `refuse`.
Sockets          syslog, GELF and Fluent Forward are not HTTP and no endpoints: `sockets/` shares the decoders, the
                 memory budget and the sink. A Forward chunk is a batch with a key, its ack is sent after the receipt.
"""

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple, Protocol
from urllib.parse import parse_qsl

from logriver.errors import LogriverError
from logriver.identity import Principal, principal_of
from logriver.ingest.answer import JSON, Headers
from logriver.ingest.body import Scope, header
from logriver.ingest.request_body import RequestBody
from logriver.record import Batch, Receipt, Refused


@dataclass(frozen=True, slots=True)
class Route:
    """A call of an endpoint. `{name}` in the path is one segment, given as `request.values["name"]`.

    `description` is the call as OpenAPI describes it; a second spelling of the same call has none. A `quiet`
    body may stop for as long as its sender likes, once that was let in: for clients whose requests stay open for hours.
    """

    method: str
    path: str
    description: Mapping[str, Any] | None = None
    quiet: bool = False


class Request:
    """What an endpoint may know of a request beside its body."""

    def __init__(self, scope: Scope, route: Route, values: Mapping[str, str]) -> None:
        self._scope = scope
        self.route = route
        self.values = values
        query: bytes = scope["query_string"]
        self.parameters = parse_qsl(query.decode("latin-1")) if query else []
        """Names and values after the question mark, those without a value left out."""
        self.notes: dict[str, str] = {}
        """What `decode` learns of the request that `answer` and `refuse` have to say."""

    def header(self, name: bytes) -> str:
        """The value of a header, its name in lower case; empty if it is not there."""
        return header(self._scope, name)

    @property
    def principal(self) -> Principal:
        """Who asks."""
        return principal_of(self._scope)


class Fate(Enum):
    """What became of an item."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    REFUSED = "refused"
    FAILED = "failed"
    """It is good, and could not be kept now."""


class Item(NamedTuple):
    """One item of a body, such as an action of a bulk request, and why it was refused or failed."""

    fate: Fate
    reason: str = ""


@dataclass(slots=True)
class Outcome:
    """What became of a batch of `count` good and some refused items; either a receipt or an error, if it was put."""

    count: int
    refused: list[Refused]
    receipt: Receipt | None = None
    error: LogriverError | None = None

    def good(self) -> Item:
        """What became of each good item."""
        if self.error is not None:
            return Item(Fate.FAILED, self.error.message)
        is_duplicate = self.receipt is not None and self.receipt.duplicate
        return Item(Fate.DUPLICATE if is_duplicate else Fate.ACCEPTED)


@dataclass(slots=True)
class Outcomes:
    """What became of all batches of a request, in the order in which they were yielded.

    What goes on for hours is many batches: equal outcomes of neighbours are one.
    """

    batches: list[Outcome] = field(default_factory=list)
    accepted: int = 0
    """Records on disk; of a duplicate those that the first one had."""
    last_seq: int = 0
    """No record that was stored has a higher number."""
    duplicate: bool = False
    """Whether any batch had come before."""

    def add(self, outcome: Outcome) -> None:
        """Note what became of the next batch."""
        if receipt := outcome.receipt:
            self.accepted += receipt.accepted
            self.last_seq = max(self.last_seq, receipt.last_seq)
            self.duplicate |= receipt.duplicate
        last = self.batches[-1] if self.batches else None
        if last and last.good() == outcome.good():
            last.count += outcome.count
            last.refused += outcome.refused
        else:
            self.batches.append(outcome)

    @property
    def refused(self) -> list[Refused]:
        """All refused items, with their place in the body and the reason."""
        return [refused for outcome in self.batches for refused in outcome.refused]

    def items(self) -> Iterator[Item]:
        """What became of each item, in order, if the decoder numbers all items from 1, good ones too."""
        number = 0
        for outcome in self.batches:
            good, reasons = outcome.good(), {refused.line: refused.reason for refused in outcome.refused}
            for _ in range(outcome.count + len(reasons)):
                number += 1
                yield Item(Fate.REFUSED, reasons[number]) if number in reasons else good


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it is sent."""

    status: int
    body: bytes
    headers: Headers = field(default_factory=list)
    content_type: bytes = JSON


class Endpoint(Protocol):
    """A protocol. Its methods are called on the event loop; only what `body.decode` is given may take long."""

    @property
    def protocol(self) -> str:
        """Its name: the metrics' label, and the name of the thread that decodes its large bodies."""
        ...

    @property
    def routes(self) -> Sequence[Route]:
        """The calls that it answers, whatever they bring. A route may be one that brings no records."""
        ...

    def decode(self, request: Request, body: RequestBody) -> AsyncGenerator[Sequence[Batch], None]:
        """Batches, in groups: those of a group are put together, and are on disk when the next group is asked for.

        A batch in which all is refused is one too: it is counted, and nothing is put. `LogriverError` ends the request
        with `refuse`; groups that were put before remain.
        """
        ...

    async def answer(self, request: Request, outcomes: Outcomes) -> Answer:
        """The answer once all is on disk.

        Items that `FAILED` are met only where a group has several batches and some of them are on disk: where there is
        nothing to answer for each of them, what fails is answered by `refuse` alone.
        """
        ...

    def refuse(self, request: Request, error: LogriverError) -> Answer:
        """The answer to a request that cannot be taken, in the shape that the protocol's clients read."""
        ...
