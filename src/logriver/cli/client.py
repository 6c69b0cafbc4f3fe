"""The HTTP client that commands use to talk to a server."""

import ssl
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, TypeVar
from urllib.parse import urlsplit

import httpx
import msgspec
import typer

from logriver.cli.render import output
from logriver.errors import BadQuery, BadRequest, LogriverError, NotFound, Unavailable

LOCAL_SERVER = "http://127.0.0.1:3000"

ServerOption = Annotated[str, typer.Option("--server", envvar="LOGRIVER_SERVER", help="address of the server")]

TokenOption = Annotated[
    str, typer.Option("--token", envvar="LOGRIVER_TOKEN", help="token of the server, where it needs one")
]

TRY_AGAIN = frozenset({429, 502, 503, 504})
"""Statuses of a server that may answer the same question later."""

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}

_NOT_UTF8 = BadRequest("a text whose bytes are not utf-8 cannot be asked for")

_Kind = TypeVar("_Kind")


class ErrorDetail(msgspec.Struct):
    """What a server says of a request that failed."""

    message: str = ""
    hint: str | None = None
    position: int | None = None
    code: str = ""


class _ErrorAnswer(msgspec.Struct):
    error: ErrorDetail


def connect(server: str, timeout_seconds: float = 60.0, token: str = "") -> httpx.Client:
    """A client for `server`, which shows it `token`; `BadRequest` where that is no address or cannot be sent."""
    address = server if "://" in server else f"http://{server}"
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadRequest(f"not a server address: {server[:80]!r}", hint=f"write it as {LOCAL_SERVER}")
    # A server on loopback refuses what comes through a proxy, and a proxy could not reach it.
    local = parts.hostname in _LOOPBACK
    # The machine's own certificates, `SSL_CERT_FILE` included, which httpx takes to be part of the environment too.
    verify = ssl.create_default_context() if local and parts.scheme == "https" else True
    # Compressing for a neighbour costs more than it saves.
    headers = _bearer(token) | ({"Accept-Encoding": "identity"} if local else {})
    return httpx.Client(
        base_url=address,
        timeout=timeout_seconds,
        headers=headers,
        verify=verify,
        trust_env=not local,
        event_hooks={"response": [_Incomplete().note]},
    )


class _Incomplete:
    """Says on stderr, once each, what answers are without."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def note(self, answer: httpx.Response) -> None:
        without = answer.headers.get("Logriver-Incomplete")
        if without and without not in self._said:
            self._said.add(without)
            output.note(f"incomplete: {without}")


def _bearer(token: str) -> dict[str, str]:
    if not token:
        return {}
    if not token.isascii() or not token.isprintable():
        raise BadRequest("the token has characters that cannot be sent")
    return {"Authorization": f"Bearer {token}"}


def error_of(answer: httpx.Response) -> ErrorDetail:
    """The server's reason in `answer`, or the status and the beginning of whatever else answered there."""
    try:
        return msgspec.json.decode(answer.content, type=_ErrorAnswer).error
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ErrorDetail(f"status {answer.status_code}: {answer.text[:200]!r}")


def ask(
    client: httpx.Client,
    path: str,
    kind: type[_Kind],
    *,
    params: Mapping[str, str] | None = None,
    body: Mapping[str, str] | None = None,
) -> _Kind:
    """The answer of a call, by POST where it has a `body`. Raises as `stream` does."""
    method = "GET" if body is None else "POST"
    try:
        answer = client.request(method, path, params=params, json=body)
    except UnicodeEncodeError:
        raise _NOT_UTF8 from None
    except httpx.TransportError as error:
        raise no_answer(client, error) from None
    if not answer.is_success:
        raise refusal(answer)
    try:
        return msgspec.json.decode(answer.content, type=kind)
    except msgspec.DecodeError:
        raise NotFound(f"{str(client.base_url)!r} does not answer like a logriver") from None


@contextmanager
def stream(
    client: httpx.Client, path: str, params: Mapping[str, str], headers: Mapping[str, str], idle_seconds: float
) -> Iterator[httpx.Response]:
    """An answer whose content has not been read; nothing may come for `idle_seconds` at one time.

    Raises `BadQuery` for a question that the server refuses, `Unavailable` where it does not answer or breaks off.
    """
    timeout = httpx.Timeout(client.timeout.connect, read=idle_seconds)
    begun = False
    try:
        with client.stream("GET", path, params=dict(params), headers=dict(headers), timeout=timeout) as answer:
            if not answer.is_success:
                answer.read()
                raise refusal(answer)
            begun = True
            yield answer
    except UnicodeEncodeError:
        raise _NOT_UTF8 from None
    except httpx.TransportError as error:
        raise (_broken_off(error) if begun else no_answer(client, error)) from None


def whole_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The lines that `chunks` hold, without their ends; what follows the last end is none.

    httpx's own lines end at other characters than a line feed too, which stand in documents.
    """
    begun: list[bytes] = []
    for chunk in chunks:
        first, *others = chunk.split(b"\n")
        begun.append(first)
        if others:
            yield b"".join(begun)
            yield from others[:-1]
            begun = [others[-1]]


def refusal(answer: httpx.Response) -> LogriverError:
    """What a server says in an answer that is none."""
    detail = error_of(answer)
    if answer.status_code == 400:
        return BadQuery(detail.message, hint=detail.hint, position=detail.position)
    if answer.status_code in TRY_AGAIN:
        wait_seconds = int(retry_after_seconds(answer))
        return Unavailable(detail.message, hint=detail.hint, retry_after_seconds=wait_seconds)
    return LogriverError(detail.message, hint=detail.hint)


def no_answer(client: httpx.Client, error: httpx.TransportError) -> Unavailable:
    """That the server is away or broke off."""
    return Unavailable(f"no answer from {str(client.base_url)!r}: {_reason(error)}", hint="is it running?")


def _broken_off(error: httpx.TransportError) -> Unavailable:
    return Unavailable(f"the answer broke off: {_reason(error)}", hint="what came before that is not all")


def _reason(error: httpx.TransportError) -> str:
    return str(error) or type(error).__name__


def retry_after_seconds(answer: httpx.Response) -> float:
    """When to come back, as the server asks for; 0 where it says nothing or gives a date."""
    text = answer.headers.get("Retry-After", "")
    return min(float(text), 60.0) if text.isdecimal() else 0.0
