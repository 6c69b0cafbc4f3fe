"""The HTTP client that commands use to talk to a server."""

from typing import Annotated
from urllib.parse import urlsplit

import httpx
import msgspec
import typer

from logriver.errors import BadRequest

LOCAL_SERVER = "http://127.0.0.1:3000"

ServerOption = Annotated[str, typer.Option("--server", envvar="LOGRIVER_SERVER", help="address of the server")]

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class ErrorDetail(msgspec.Struct):
    """What a server says of a request that failed."""

    message: str = ""
    hint: str | None = None
    position: int | None = None


class _ErrorAnswer(msgspec.Struct):
    error: ErrorDetail


def connect(server: str, timeout_seconds: float = 60.0) -> httpx.Client:
    """A client for `server`; `BadRequest` where that is no address."""
    address = server if "://" in server else f"http://{server}"
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadRequest(f"not a server address: {server[:80]!r}", hint=f"write it as {LOCAL_SERVER}")
    # A server on loopback refuses what comes through a proxy, and a proxy could not reach it.
    return httpx.Client(base_url=address, timeout=timeout_seconds, trust_env=parts.hostname not in _LOOPBACK)


def error_of(answer: httpx.Response) -> ErrorDetail:
    """The server's reason in `answer`, or the status and the beginning of whatever else answered there."""
    try:
        return msgspec.json.decode(answer.content, type=_ErrorAnswer).error
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ErrorDetail(f"status {answer.status_code}: {answer.text[:200]!r}")
