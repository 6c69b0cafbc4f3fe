"""The door: every request passes it, before its body is read and whatever it asks for.

    /health and /ready                                    open to all
    /login and /logout                                    open, but not to pages of other origins
    GET / and below /ui/, the page's own files            open to all
    this machine, its own name, no proxy, no other page   open
    the token as `Authorization: Bearer`                  open
    the session that /login gave, no other page           open
    all else                                              closed: 401, or 403 where a page or a name is foreign

So a route that is added later is closed to strangers without a word about it. "Other page" is one whose origin is
neither ours nor named by `--cors-origin`. Wrong tokens are counted (`attempts.py`); where none is needed, none is read.
What came in by the token has `scope["caller"]`, which stands for it.
"""

from typing import Any
from urllib.parse import quote

import msgspec

from logriver.auth import cors
from logriver.auth.attempts import Attempts
from logriver.auth.cors import Send
from logriver.auth.places import (
    Headers,
    came_through_proxy,
    header,
    is_cross_site,
    is_local,
    is_local_host,
    is_plainly_local,
)
from logriver.auth.sessions import Sessions, session_of
from logriver.auth.token import Token
from logriver.errors import Forbidden, LogriverError, Overloaded, Unauthenticated

OPEN_PATHS = frozenset(("/health", "/ready"))
LOGIN_PATH = "/login"
PAGE_FILES = "/ui/"
LOGOUT_PATH = "/logout"

_BEARER = b"bearer "
_JSON: Headers = [(b"content-type", b"application/json")]
_NEED_TOKEN = "send the token as 'Authorization: Bearer TOKEN', or open /login in a browser"


class Door:
    """One for all listeners. On the event loop; nothing here waits."""

    def __init__(self, token: Token, cors_origins: frozenset[bytes]) -> None:
        self._token = token
        self._cors_origins = cors_origins
        self._sessions = Sessions(token.key(b"session"))
        self._attempts = Attempts()

    def is_open(self, scope: Any) -> bool:
        """Whether a request may come in without a further look; quick, and true for most. Else ask `examine`."""
        return is_plainly_local(scope)

    async def examine(self, scope: Any, send: Send) -> Send | None:
        """How to send the answer of a request that may come in; None for one that may not and has been answered."""
        origin = header(scope["headers"], b"origin").lower()
        listed = origin in self._cors_origins
        if listed:
            send = cors.readable_by(origin, send)
        try:
            if cors.is_preflight(scope) and listed:
                await _answer(scope, send, 204, b"", cors.preflight_headers())
                return None
            self._check(scope, listed)
        except LogriverError as refusal:
            await _refuse(scope, send, refusal)
            return None
        return send

    def log_in(self, address: str, token: str) -> str:
        """A session for whoever has the token. Raises `Unauthenticated`, `Overloaded`."""
        self._compare(address, token.encode())
        return self._sessions.start()

    def has_session(self, headers: Headers) -> bool:
        """Whether a browser sends a session that is good."""
        return self._sessions.valid(session_of(header(headers, b"cookie")))

    def has_token(self, scope: Any) -> bool:
        """Whether who was let in has the token, for what asks for it also where the door did not."""
        if "caller" in scope or self.has_session(scope["headers"]):
            return True
        try:
            return self._has_token(scope)
        except Unauthenticated:
            return False

    def _check(self, scope: Any, listed: bool) -> None:
        """Raises `Forbidden`, `Unauthenticated`, `Overloaded` for what may not come in."""
        headers, path = scope["headers"], scope["path"]
        is_foreign = is_cross_site(scope) and not listed
        is_login = path in (LOGIN_PATH, LOGOUT_PATH) and not is_foreign
        if path in OPEN_PATHS or is_login or _is_of_page(scope):
            return
        local = is_local(scope)
        foreign_host = local and not is_local_host(header(headers, b"host"))
        if local and not (foreign_host or is_foreign or came_through_proxy(headers)):
            scope["let_in"] = True
            return
        if self._has_token(scope) or (self.has_session(headers) and not is_foreign):
            scope["caller"], scope["let_in"] = self._token.caller, True
            return
        if is_foreign:
            raise Forbidden("a page of another origin asks", hint="allow it with --cors-origin")
        if foreign_host:
            shown = header(headers, b"host").decode("latin-1")
            raise Forbidden(f"host {shown[:60]!r} is not a name of this machine for itself", hint=_NEED_TOKEN)
        raise Unauthenticated("a token is needed", hint=_NEED_TOKEN)

    def _has_token(self, scope: Any) -> bool:
        """Whether the request has the token; False where it has none. Raises `Unauthenticated` for a wrong one."""
        given = header(scope["headers"], b"authorization")
        if given[: len(_BEARER)].lower() != _BEARER:
            return False
        self._compare(scope["client"][0] if scope["client"] else "", given[len(_BEARER) :].strip())
        return True

    def _compare(self, address: str, given: bytes) -> None:
        self._attempts.check(address)
        if not self._token.equals(given):
            self._attempts.failed(address)
            raise Unauthenticated("wrong token", hint=_NEED_TOKEN)


def _is_of_page(scope: Any) -> bool:
    """The page's own files, which hold no data: what it shows, it asks for by calls that pass the door."""
    path: str = scope["path"]
    return scope.get("method") in ("GET", "HEAD") and (path == "/" or path.startswith(PAGE_FILES))


async def _refuse(scope: Any, send: Send, refusal: LogriverError) -> None:
    """Tell a program why; a person who opened a page and needs the token is led to where it can be given."""
    if scope["type"] == "websocket":
        body = msgspec.json.encode({"error": refusal.answer()})
        await send({"type": "websocket.http.response.start", "status": refusal.status, "headers": _JSON})
        await send({"type": "websocket.http.response.body", "body": body})
        return
    if isinstance(refusal, Unauthenticated) and _is_person(scope):
        wanted = scope["path"] + (f"?{scope['query_string'].decode('latin-1')}" if scope["query_string"] else "")
        await _answer(scope, send, 303, b"", [(b"location", f"{LOGIN_PATH}?next={quote(wanted, safe='/')}".encode())])
        return
    headers = [*_JSON]
    if isinstance(refusal, Unauthenticated):
        headers.append((b"www-authenticate", b'Bearer realm="logriver"'))
    if isinstance(refusal, Overloaded):
        headers.append((b"retry-after", str(refusal.retry_after_seconds).encode()))
    await _answer(scope, send, refusal.status, msgspec.json.encode({"error": refusal.answer()}), headers)


def _is_person(scope: Any) -> bool:
    return scope["method"] == "GET" and b"text/html" in header(scope["headers"], b"accept")


async def _answer(scope: Any, send: Send, status: int, body: bytes, headers: Headers) -> None:
    length = [] if status == 204 else [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*length, *headers]})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
