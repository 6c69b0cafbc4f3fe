"""Where a request comes from: this machine or not, through a proxy or not, from whose page."""

import ipaddress
import re
from functools import lru_cache
from typing import Any

from logriver.errors import SettingsError

Headers = list[tuple[bytes, bytes]]

_LOCAL_HOST = re.compile(rb"(?:localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\])(?::\d{1,5})?", re.IGNORECASE)
_ORIGIN = re.compile(r"https?://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?")
_REMEMBERED = 4096

_OF_PROXIES = frozenset((b"forwarded", b"via", b"x-real-ip", b"x-client-ip", b"true-client-ip", b"cf-connecting-ip"))
_OF_PROXIES_PREFIX = b"x-forwarded"
_OF_PAGES = frozenset((b"origin", b"sec-fetch-site"))
# What most requests have and what says nothing of where they come from: one look-up, and done.
_SAYS_NOTHING = frozenset(
    (
        b"accept",
        b"accept-encoding",
        b"authorization",
        b"connection",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"idempotency-key",
        b"transfer-encoding",
        b"user-agent",
    )
)


def is_plainly_local(scope: Any) -> bool:
    """Whether this machine asks itself, under its own name, with nothing in between and no page behind it.

    The question of the hot path: each header is looked at once.
    """
    host = None
    for name, value in scope["headers"]:
        if name in _SAYS_NOTHING:
            continue
        if name == b"host":
            if host is not None:
                return False
            host = value
        elif name in _OF_PAGES or _is_of_proxy(name):
            return False
    return host is not None and is_local_host(host) and is_local(scope)


def is_local(scope: Any) -> bool:
    """Whether peer and own address are loopback."""
    peer, own = scope["client"], scope["server"]
    return bool(peer) and bool(own) and _is_loopback(peer[0]) and _is_loopback(own[0])


@lru_cache(_REMEMBERED)
def is_local_host(host: bytes) -> bool:
    """Whether a Host header names this machine as itself: a name of another kind may be anybody's that points here."""
    return _LOCAL_HOST.fullmatch(host) is not None


def came_through_proxy(headers: Headers) -> bool:
    """Whether somebody says that it passes the request on."""
    return any(_is_of_proxy(name) for name, _ in headers)


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


def _is_of_proxy(name: bytes) -> bool:
    return name in _OF_PROXIES or name.startswith(_OF_PROXIES_PREFIX)


@lru_cache(_REMEMBERED)
def _is_loopback(address: str) -> bool:
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return (mapped or found).is_loopback
