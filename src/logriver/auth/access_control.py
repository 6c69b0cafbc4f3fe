"""Authentication and authorisation: every request passes here, before its body is read and whatever it asks for.

    the token as `Authorization: Bearer`                      let in
    the session that /login gave, no other page               let in
    trusted local: this machine, its own name, no proxy,      let in
    no other page, unless `trust_loopback` is off
    /health and /ready                                        open to all
    /login and /logout                                        open, but not to pages of other origins
    GET / and below /ui/, the page's own files                open to all
    all else                                                  closed: 401, or 403 where a page or a name is foreign

So a route that is added later is closed to strangers without a word about it. "Other page" is one whose origin is
neither ours nor named by `--cors-origin`. Each request gets its principal (`identity.py`) in its ASGI scope. The right
token and a good session are looked at first; wrong tokens are counted and slowed (`throttle.py`), where one is needed.
"""

from typing import Any

from logriver.auth import cors
from logriver.auth.cors import Send
from logriver.auth.refusal import LOGIN_PATH, answer, refuse
from logriver.auth.request_origin import (
    Headers,
    header,
    is_cross_site,
    is_local,
    is_local_host,
    is_trusted_local,
    proxy_sign,
)
from logriver.auth.sessions import Sessions, session_of
from logriver.auth.throttle import Throttle
from logriver.auth.token import Token
from logriver.errors import Forbidden, LogriverError, Unauthenticated
from logriver.identity import ADMIN, ANONYMOUS, LOCAL, SCOPE_KEY, Principal

OPEN_PATHS = frozenset(("/health", "/ready"))
PAGE_FILES = "/ui/"
LOGOUT_PATH = "/logout"

_BEARER = b"bearer "
_NEED_TOKEN = "send the token as 'Authorization: Bearer TOKEN', or open /login in a browser"
_NOT_THIS_MACHINE = "use 127.0.0.1, which is this machine; other addresses need the token"


class AccessControl:
    """One for all listeners. On the event loop; waits only where a wrong token is slowed.

    `generation` changes with whatever decides who may come in. What was remembered of an earlier one is void.
    """

    def __init__(self, token: Token, cors_origins: frozenset[bytes], *, trust_loopback: bool) -> None:
        self._cors_origins = cors_origins
        self._throttle = Throttle()
        self.generation = 0
        self.install(token, trust_loopback=trust_loopback)

    def install(self, token: Token, *, trust_loopback: bool) -> None:
        """From now on `token` lets in, and trusted local callers do not need it or do. All sessions end."""
        self._token = token
        self._sessions = Sessions(token.key(b"session"))
        self._trust_loopback = trust_loopback
        key_scope = token.key(b"caller")
        self._by_token = Principal("token", frozenset((ADMIN,)), has_credentials=True, key_scope=key_scope)
        self.generation += 1

    def admits(self, scope: Any) -> bool:
        """Whether a request is let in without a further look; quick, and true for most. Else ask `examine`."""
        if self._trust_loopback and is_trusted_local(scope):
            scope[SCOPE_KEY] = LOCAL
            return True
        return False

    def recognised(self, scope: Any) -> Principal | None:
        """Who is let in by the head alone: an equal one on the same connection need not be examined again.

        It holds for the present `generation`. None where more counts than the head, such as the end of a session.
        """
        headers = scope["headers"]
        if self._trust_loopback and is_trusted_local(scope):
            return LOCAL
        if any(name in (b"origin", b"sec-fetch-site") for name, _ in headers):
            return None
        given = _bearer(headers)
        return self._by_token if given and self._token.equals(given) else None

    async def examine(self, scope: Any, send: Send) -> Send | None:
        """How to send the answer of a request that may come in; None for one that may not and has been answered."""
        scope[SCOPE_KEY] = ANONYMOUS
        origin = header(scope["headers"], b"origin").lower()
        listed = origin in self._cors_origins
        if listed:
            send = cors.readable_by(origin, send)
        try:
            if cors.is_preflight(scope) and listed:
                await answer(scope, send, 204, b"", cors.preflight_headers())
                return None
            scope[SCOPE_KEY] = await self._authenticate(scope, is_foreign=is_cross_site(scope) and not listed)
        except LogriverError as refusal:
            await refuse(scope, send, refusal)
            return None
        return send

    async def log_in(self, address: str, token: str) -> str:
        """A session for whoever has the token. Raises `Unauthenticated`, `Overloaded`."""
        if not self._token.equals(token.encode()):
            await self._throttle.wrong_token(address, _NEED_TOKEN)
        return self._sessions.start()

    def has_session(self, headers: Headers) -> bool:
        """Whether a browser sends a session that is good."""
        return self._sessions.valid(session_of(header(headers, b"cookie")))

    async def _authenticate(self, scope: Any, *, is_foreign: bool) -> Principal:
        """Who asks. Raises `Forbidden`, `Unauthenticated`, `Overloaded` for what may not come in."""
        headers = scope["headers"]
        given = _bearer(headers)
        if (given and self._token.equals(given)) or (self.has_session(headers) and not is_foreign):
            return self._by_token
        distrust = self._distrust(scope, is_foreign)
        if distrust is None:
            return LOCAL
        if _is_open(scope, is_foreign):
            return ANONYMOUS
        if given:
            await self._throttle.wrong_token(scope["client"][0] if scope["client"] else "", _NEED_TOKEN)
        raise distrust

    def _distrust(self, scope: Any, is_foreign: bool) -> LogriverError | None:
        """Why a request without credentials is not trusted local; None if it is."""
        if is_foreign:
            return Forbidden("a page of another origin asks", hint="allow it with --cors-origin")
        if not (self._trust_loopback and is_local(scope)):
            return Unauthenticated("a token is needed", hint=_NEED_TOKEN)
        host = header(scope["headers"], b"host")
        if not is_local_host(host):
            shown = host.decode("latin-1")[:60]
            hint = _NOT_THIS_MACHINE if host.startswith((b"0.0.0.0", b"[::]")) else _NEED_TOKEN
            return Forbidden(f"host {shown!r} is not a name of this machine for itself", hint=hint)
        sign = proxy_sign(scope)
        return Unauthenticated(f"a token is needed: a proxy seems to ask ({sign})", hint=_NEED_TOKEN) if sign else None


def _bearer(headers: Headers) -> bytes:
    """The token that is shown; empty if there is none, which no token equals."""
    given = header(headers, b"authorization")
    return given[len(_BEARER) :].strip() if given[: len(_BEARER)].lower() == _BEARER else b""


def _is_open(scope: Any, is_foreign: bool) -> bool:
    """What all may ask for. The page's own files hold no data: what it shows, it asks for by calls of its own."""
    path: str = scope["path"]
    if path in OPEN_PATHS or (path in (LOGIN_PATH, LOGOUT_PATH) and not is_foreign):
        return True
    return scope.get("method") in ("GET", "HEAD") and (path == "/" or path.startswith(PAGE_FILES))
