"""The HTTP client that commands use to talk to a server."""

import ssl
from typing import Annotated
from urllib.parse import urlsplit

import httpx
import msgspec
import typer

from logriver.errors import BadRequest

LOCAL_SERVER = "http://127.0.0.1:3000"

ServerOption = Annotated[str, typer.Option("--server", envvar="LOGRIVER_SERVER", help="address of the server")]

TokenOption = Annotated[
    str, typer.Option("--token", envvar="LOGRIVER_TOKEN", help="token of the server, where it needs one")
]

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class ErrorDetail(msgspec.Struct):
    """What a server says of a request that failed."""

    message: str = ""
    hint: str | None = None
    position: int | None = None


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
    return httpx.Client(
        base_url=address, timeout=timeout_seconds, headers=_bearer(token), verify=verify, trust_env=not local
    )


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
