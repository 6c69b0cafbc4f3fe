"""What an agent and its server say to each other over the agent's channel: binary messages, each one frame in msgpack.

    agent to server    Hello             first, once: who it is
                       Beat              every few seconds: it is alive, how far it follows each file, what it cannot do
                       Piece             a piece of the answer to a request
                       End               the answer is whole, or why there is no more of it
    server to agent    Welcome           the answer to `Hello`; a channel that is closed instead says why
                       Ask               a request: what is wanted, as bytes that only both ends of it understand
                       More              that many pieces more may be sent
                       Cancel            nobody waits for this answer any more

Flow control: an answer begins with leave to send `CREDIT` pieces and gets leave for one more with each that was taken,
so a reader that is slow holds up its own answer alone, and never more than `CREDIT` pieces of it wait anywhere. An
answer that ends with a failure before its first piece was refused, one that ends with it later broke off.
"""

from collections.abc import Iterable
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from logriver import clock
from logriver.errors import (
    BadRequest,
    Forbidden,
    LogriverError,
    NotFound,
    Overloaded,
    TooLarge,
    Unauthenticated,
    Unavailable,
    Unprocessable,
)

VERSION = 1
CHANNEL_PATH = "/api/v1/agents/channel"
PIECE_BYTES = 256_000
CREDIT = 2
MAX_FRAME_BYTES = 1_000_000
"""A longer message closes the channel, at either end."""
MAX_HELLO_BYTES = 64_000
MAX_BEAT_BYTES = 400_000
MAX_SOURCES = 2_000
"""So much of a beat may be sources, and so many; `Beat.left_out` counts what did not fit."""
MAX_PROBLEMS = 10
MAX_PROBLEM_LENGTH = 300
"""So many problems a beat has, cut to so many characters."""
MAX_PATHS = 20
MAX_PATH_LENGTH = 200
"""So many roots and followed paths a hello has, cut to so many characters."""
BEAT_SECONDS = 2.0
SILENT_SECONDS = 10.0
"""An agent of which nothing was heard for so long is gone."""

# Why the server closes a channel, from the codes that WebSocket leaves to applications.
BAD_FRAME = 4400
NAME_TAKEN = 4409
NOT_NOW = 4429

# So much of the other end's words about an error is shown.
_SHOWN = 1_000

_Frame = TypeVar("_Frame")

# A number that a signed one of 64 bits holds, and a time of `clock.py`; 0 for never.
_Number = Annotated[int, Meta(ge=0, le=2**63 - 1)]
_Time = Annotated[int, Meta(ge=0, le=clock.MAX_TIME_NS)]
_Name = Annotated[str, Meta(max_length=300)]
_Problems = Annotated[list[Annotated[str, Meta(max_length=MAX_PROBLEM_LENGTH)]], Meta(max_length=MAX_PROBLEMS)]
_Paths = Annotated[list[Annotated[str, Meta(max_length=MAX_PATH_LENGTH)]], Meta(max_length=MAX_PATHS)]


class Hello(msgspec.Struct, tag="hello", array_like=True, forbid_unknown_fields=True):
    """Who an agent is. `instance` is made at random when its process starts; `machine` distinguishes equal names."""

    version: int
    name: _Name
    host: _Name
    machine: _Name
    instance: _Name
    release: _Name
    pid: _Number
    roots: _Paths
    follows: _Paths


class AgentSource(msgspec.Struct, array_like=True):
    """How far one file is followed, as `follow/sources.py` has it; `gaps` is how many there are."""

    path: str
    format: str
    committed_bytes: _Number
    size_bytes: _Number
    last_event_ns: _Time
    error: str
    gaps: _Number
    file: str = ""
    identity: str = ""
    lag_seconds: Annotated[float, Meta(ge=0, le=1e12)] = 0.0

    @property
    def lag_bytes(self) -> int:
        """What the file has and the server does not."""
        return max(0, self.size_bytes - self.committed_bytes)


class Beat(msgspec.Struct, tag="beat", array_like=True):
    """Sent every `BEAT_SECONDS`. `problems` are what keeps the agent from its work, in words; older ones send none."""

    sources: Annotated[list[AgentSource], Meta(max_length=MAX_SOURCES)]
    left_out: _Number
    problems: _Problems = []


class Failure(msgspec.Struct, array_like=True):
    """An error of `errors.py` on its way."""

    status: int
    code: str
    message: str
    hint: str | None
    retry_after_seconds: int


class Piece(msgspec.Struct, tag="piece", array_like=True):
    """At most `PIECE_BYTES` of the answer to request `id`."""

    id: int
    data: bytes


class End(msgspec.Struct, tag="end", array_like=True):
    """No more of the answer to request `id` comes."""

    id: int
    failure: Failure | None


class Welcome(msgspec.Struct, tag="welcome", array_like=True):
    """The agent is taken under its name, by a server of this release."""

    release: str


class Ask(msgspec.Struct, tag="ask", array_like=True):
    """A request. `has_token` is whether its caller has shown the server's token; `traceparent` is empty for none."""

    id: int
    kind: str
    request: bytes
    has_token: bool
    traceparent: str


class More(msgspec.Struct, tag="more", array_like=True):
    """`pieces` more of the answer to request `id` may be sent."""

    id: int
    pieces: int


class Cancel(msgspec.Struct, tag="cancel", array_like=True):
    """Request `id` needs no answer any more."""

    id: int


FromAgent = Hello | Beat | Piece | End
FromServer = Welcome | Ask | More | Cancel

encode = msgspec.msgpack.Encoder().encode
_from_agent = msgspec.msgpack.Decoder(FromAgent)
_from_server = msgspec.msgpack.Decoder(FromServer)


def from_agent(message: bytes | str) -> FromAgent:
    """The frame in a message of an agent. Raises `BadRequest` for anything else."""
    frame: FromAgent = _decoded(message, _from_agent)
    return frame


def from_server(message: bytes | str) -> FromServer:
    """The frame in a message of the server. Raises `BadRequest` for anything else."""
    frame: FromServer = _decoded(message, _from_server)
    return frame


def _decoded(message: bytes | str, decoder: "msgspec.msgpack.Decoder[_Frame]") -> _Frame:
    if isinstance(message, str):
        raise BadRequest("a text message where frames are binary")
    try:
        return decoder.decode(message)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"not a frame: {error}") from None


_KINDS: dict[int, type[LogriverError]] = {
    kind.status: kind
    for kind in (
        BadRequest,
        Unauthenticated,
        Forbidden,
        NotFound,
        TooLarge,
        Unprocessable,
        Overloaded,
        Unavailable,
        LogriverError,
    )
}


def failure_of(error: LogriverError) -> Failure:
    """The error as it goes over the channel."""
    wait_seconds = error.retry_after_seconds if isinstance(error, Overloaded) else 0
    return Failure(error.status, error.code, error.message, error.hint, wait_seconds)


def error_of(failure: Failure) -> LogriverError:
    """The error as its sender had it; one of a status that nobody knows is an internal one."""
    kind = _KINDS.get(failure.status, LogriverError)
    error = kind(failure.message[:_SHOWN], hint=failure.hint and failure.hint[:_SHOWN])
    error.code = failure.code[:_SHOWN]
    if isinstance(error, Overloaded):
        error.retry_after_seconds = max(1, min(failure.retry_after_seconds, 3600))
    return error


def beat_of(sources: list[AgentSource], problems: Iterable[str] = ()) -> bytes:
    """A beat with as many of `sources` as fit, those in trouble first."""
    said = [problem[:MAX_PROBLEM_LENGTH] for problem in dict.fromkeys(problems)][:MAX_PROBLEMS]
    ordered = sorted(sources, key=lambda source: (not source.error, not source.gaps, -source.lag_bytes, source.path))
    space, fitting = MAX_BEAT_BYTES - len(encode(said)), 0
    for source in ordered[:MAX_SOURCES]:
        space -= len(encode(source))
        if space < 0:
            break
        fitting += 1
    return encode(Beat(ordered[:fitting], len(ordered) - fitting, said))
