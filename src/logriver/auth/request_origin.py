"""Where a request comes from: this machine or not, through a proxy or not, from a page of which origin."""

import ipaddress
import re
from functools import lru_cache
from typing import Any

from logriver.auth.proxy_headers import is_proxy_header
from logriver.errors import SettingsError

Headers = list[tuple[bytes, bytes]]

_LOCAL_HOST = re.compile(rb"(?:localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\])(?::\d{1,5})?", re.IGNORECASE)
_ORIGIN = re.compile(r"https?://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?")
_REMEMBERED = 4096

# What is looked at more closely: the pages that browsers ask for, and credentials.
_EXAMINED = frozenset((b"origin", b"sec-fetch-site", b"authorization", b"cookie"))
# What most requests have and what says nothing of where they come from: one look-up, and done.
_NEUTRAL = frozenset(
    (
        b"accept",
        b"accept-encoding",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"idempotency-key",
        b"transfer-encoding",
        b"user-agent",
    )
)


def is_trusted_local(scope: Any) -> bool:
    """Whether this machine asks itself, under its own name, with nothing in between, no page and no credentials.

    The question of the hot path: each header is looked at once. False says only that a closer look is needed.
    """
    if scope["http_version"] != "1.1":
        return False
    host, previous = None, b""
    for name, value in scope["headers"]:
        if name == b"host":
            if host is not None:
                return False
            host = value
        elif name not in _NEUTRAL and (name in _EXAMINED or _is_proxy_sign(previous, name, value)):
            return False
        previous = name
    return host is not None and is_local_host(host) and is_local(scope)


def is_local(scope: Any) -> bool:
    """Whether peer and own address are loopback. Who comes by a Unix socket has no address, and is not local."""
    peer, own = scope["client"], scope["server"]
    return bool(peer) and bool(own) and is_loopback(peer[0]) and is_loopback(own[0])


def is_local_host(host: bytes) -> bool:
    """Whether a Host header names this machine as itself: a name of another kind may be anybody's that points here."""
    return _LOCAL_HOST.fullmatch(host) is not None


def proxy_sign(scope: Any) -> str:
    """What shows that a proxy passes the request on; empty if nothing does.

    nginx speaks HTTP/1.0 to what is behind it, up to version 1.29.6 unless it is told otherwise; with
    `proxy_http_version 1.1` it puts its own `Connection: close` right after its own `Host`. Not every proxy shows
    itself: docs/how-to/security.md says which do not.
    """
    if scope["http_version"] != "1.1":
        return f"HTTP/{scope['http_version']}"
    previous = b""
    for name, value in scope["headers"]:
        if _is_proxy_sign(previous, name, value):
            shown = name.decode("latin-1")[:60]
            return "'Connection: close' right after 'Host'" if name == b"connection" else f"the header {shown!r}"
        previous = name
    return ""


def is_cross_site(scope: Any) -> bool:
    """Whether a page of another origin asks. A link that a person follows is none: the page cannot see the answer."""
    headers = scope["headers"]
    origin = header(headers, b"origin")
    if origin:
        return origin.lower().partition(b"://")[2] != header(headers, b"host").lower()
    if header(headers, b"sec-fetch-site") != b"cross-site":
        return False
    is_link = header(headers, b"sec-fetch-mode") == b"navigate" and header(headers, b"sec-fetch-dest") == b"document"
    return not (is_link and scope.get("method") == "GET")


def header(headers: Headers, name: bytes) -> bytes:
    """A header's value, empty if it is not there; several are joined, which makes none of them valid."""
    return b", ".join(value for key, value in headers if key == name)


def checked_origins(texts: list[str]) -> frozenset[bytes]:
    """Origins as a browser sends them. Raises `SettingsError` for a text that is none."""
    origins = [text.lower().removesuffix("/") for text in texts]
    for text, origin in zip(texts, origins, strict=True):
        if not _ORIGIN.fullmatch(origin):
            hint = "write it as https://logs.example.com, without a path"
            raise SettingsError(f"setting 'cors_origin': {text[:60]!r} is not an origin", hint=hint)
    return frozenset(origin.encode() for origin in origins)


@lru_cache(_REMEMBERED)
def is_loopback(address: str) -> bool:
    """Whether an address is one of those that only this machine has."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return (mapped or found).is_loopback


def _is_proxy_sign(previous: bytes, name: bytes, value: bytes) -> bool:
    if name == b"connection":
        return previous == b"host" and value.lower() == b"close"
    return is_proxy_header(name)
