"""Every request has a principal in its scope, and what was decided for one is void when the token or trust changes."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest

from logriver.auth.access_control import AccessControl
from logriver.auth.sessions import COOKIE
from logriver.auth.token import Token
from logriver.identity import ANONYMOUS, LOCAL, Principal, principal_of

Headers = list[tuple[bytes, bytes]]

HOST: Headers = [(b"host", b"127.0.0.1:3000")]
RIGHT: Headers = [*HOST, (b"authorization", b"Bearer right")]
ELSEWHERE: Headers = [*HOST, (b"via", b"1.1 proxy")]


def access_control(*, trust_loopback: bool = True) -> AccessControl:
    return AccessControl(Token("right"), frozenset((b"https://app.example",)), trust_loopback=trust_loopback)


def scope_of(headers: Headers, path: str = "/api/v1/logs", client: str | None = "127.0.0.1") -> dict[str, Any]:
    return {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "path": path,
        "query_string": b"",
        "headers": headers,
        "client": (client, 40000) if client else None,
        "server": ("127.0.0.1", 3000) if client else ("/run/http.sock", None),
    }


def status_and_principal(access: AccessControl, scope: dict[str, Any]) -> tuple[int, Principal]:
    """What a request is answered before any use case sees it, 200 where it would be handed on."""
    answered: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        answered.append(message)

    admitted = access.admits(scope) or asyncio.run(access.examine(scope, send)) is not None
    return 200 if admitted else int(answered[0]["status"]), principal_of(scope)


def by_token(access: AccessControl) -> Principal:
    return status_and_principal(access, scope_of(RIGHT))[1]


def test_local_callers_have_a_principal() -> None:
    access = access_control()
    own_page = (b"origin", b"http://127.0.0.1:3000")
    for headers in (HOST, [*HOST, (b"cookie", b"a=b")], [*HOST, own_page], [*HOST, (b"authorization", b"Bearer no")]):
        assert status_and_principal(access, scope_of(headers)) == (200, LOCAL)
    assert LOCAL.roles == {"admin"}
    assert not LOCAL.has_credentials


def test_who_shows_the_token_or_a_session_has_another_wherever_they_are() -> None:
    access = access_control()
    session = asyncio.run(access.log_in("10.0.0.1", "right"))
    cookie = (b"cookie", f"{COOKIE}={session}".encode())
    principals = [
        status_and_principal(access, scope_of(headers, client=client))
        for headers in (RIGHT, [*HOST, cookie], [*ELSEWHERE, cookie], [*RIGHT, (b"origin", b"http://evil.example")])
        for client in ("127.0.0.1", "10.0.0.1", None)
    ]
    principal = principals[0][1]
    assert principals == [(200, principal)] * len(principals)
    assert principal.roles == {"admin"}
    assert principal.has_credentials
    assert principal.restrictions == ()
    assert principal != LOCAL
    assert principal.key_scope != LOCAL.key_scope
    assert repr(principal.key_scope) not in repr(principal)


@pytest.mark.parametrize("path", ["/health", "/ready", "/login"])
def test_what_is_open_to_all_has_a_principal_that_may_do_nothing(path: str) -> None:
    access = access_control()
    for client in ("10.0.0.1", None):
        assert status_and_principal(access, scope_of(HOST, path, client)) == (200, ANONYMOUS)
    wrong = [*HOST, (b"authorization", b"Bearer wrong")]
    assert status_and_principal(access, scope_of(wrong, path, "10.0.0.1")) == (200, ANONYMOUS)
    assert ANONYMOUS.roles == frozenset()


def test_who_is_refused_is_nobody() -> None:
    access = access_control()
    assert status_and_principal(access, scope_of(HOST, client="10.0.0.1")) == (401, ANONYMOUS)
    assert status_and_principal(access, scope_of(ELSEWHERE)) == (401, ANONYMOUS)
    assert status_and_principal(access, scope_of([*HOST, (b"origin", b"http://evil.example")])) == (403, ANONYMOUS)


def test_a_head_is_recognised_where_nothing_but_the_head_counts() -> None:
    access = access_control()
    session = (b"cookie", f"{COOKIE}={asyncio.run(access.log_in('', 'right'))}".encode())
    assert access.recognised(scope_of(HOST)) is LOCAL
    assert access.recognised(scope_of(RIGHT)) == by_token(access)
    assert access.recognised(scope_of(RIGHT, client="10.0.0.1")) == by_token(access)
    # A session ends, and a page's answer needs headers of its own.
    assert access.recognised(scope_of([*HOST, session])) is None
    assert access.recognised(scope_of([*RIGHT, (b"origin", b"https://app.example")])) is None
    assert access.recognised(scope_of(HOST, client="10.0.0.1")) is None
    assert access.recognised(scope_of(ELSEWHERE)) is None


def test_another_token_or_trust_is_another_generation() -> None:
    access = access_control()
    before, session = access.generation, asyncio.run(access.log_in("", "right"))

    access.install(Token("another"), trust_loopback=True)
    assert access.generation != before
    assert access.recognised(scope_of(RIGHT, client="10.0.0.1")) is None
    assert status_and_principal(access, scope_of(RIGHT, client="10.0.0.1"))[0] == 401
    assert not access.has_session([(b"cookie", f"{COOKIE}={session}".encode())])

    before = access.generation
    access.install(Token("another"), trust_loopback=False)
    assert access.generation != before
    assert access.recognised(scope_of(HOST)) is None
    assert status_and_principal(access, scope_of(HOST)) == (401, ANONYMOUS)
