"""Access control: every route, from everywhere, without, with a wrong and with the right token, over http and https."""

import os
import re
import ssl
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import fields
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import httpx
import pytest
from fastapi.routing import APIRoute, APIWebSocketRoute

from logriver.api.app import create_api
from logriver.api.use_cases import ServerState, UseCases
from logriver.auth.sessions import COOKIE, LIFE_SECONDS
from logriver.auth.throttle import DELAY_SECONDS, MAX_WRONG
from logriver.compat.ingest import LogsIngest, RootIngest
from logriver.errors import SettingsError
from logriver.ingest.endpoints.logs import Logs
from logriver.ingest.endpoints.ranges import Ranges
from logriver.ingest.listen import check_certificate
from tests.auth.serving import TOKEN, Headers, Site, certificate_for, fresh_address, serving

APP_ORIGIN = "https://app.example:8443"
OPEN = {(method, path) for path in ("/", "/ui/app.js", "/health", "/ready") for method in ("GET", "HEAD")}
OPEN |= {("GET", "/login"), ("POST", "/login"), ("POST", "/logout")}
SHUT = {401, 403, 429}

BEARER = {"Authorization": f"Bearer {TOKEN}"}
WRONG = {"Authorization": "Bearer a wrong one"}
FOREIGN_HOSTS = ("evil.example", "localhost.evil.example", "127.0.0.1.evil.example:3000", "192.168.1.1", "[::2]", "")
FOREIGN_PAGES: tuple[Headers, ...] = (
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://localhost:1"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"},
)
PROXIES: tuple[Headers, ...] = (
    {"Forwarded": "for=203.0.113.7"},
    {"X-Forwarded-For": "127.0.0.1"},
    {"X-Forwarded-Host": "localhost"},
    {"X-Forwarded-Proto": "https"},
    {"X-Real-IP": "127.0.0.1"},
    {"Via": "1.1 proxy"},
    {"X-Cluster-Client-IP": "203.0.113.7"},
    {"X-Original-Host": "logs.example"},
    {"Fastly-Client-IP": "203.0.113.7"},
    {"X-Azure-ClientIP": "203.0.113.7"},
)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory, own_address: str) -> tuple[Path, Path]:
    names = ("DNS:localhost", "IP:127.0.0.1", "IP:::1", f"IP:{own_address}")
    return certificate_for(tmp_path_factory.mktemp("tls"), *names)


@pytest.fixture(scope="module", params=["http", "https"])
def site(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    own_address: str,
    certificate: tuple[Path, Path],
) -> Iterator[Site]:
    listen = ["--listen", "127.0.0.1:0", "--listen", f"{own_address}:0", "--listen", "[::1]:0"]
    tls = ["--tls-cert", str(certificate[0]), "--tls-key", str(certificate[1])] if request.param == "https" else []
    data = tmp_path_factory.mktemp("site") / "data"
    # Root reads files for callers without a token only where somebody said which.
    chosen = ["--cors-origin", APP_ORIGIN, "--files-root", str(data.parent)]
    with serving(data, *listen, *tls, *chosen) as running:
        assert running.scheme == request.param
        if tls:
            running.verify = ssl.create_default_context(cafile=str(certificate[0]))
        yield running
    assert TOKEN not in data.with_name("data.log").read_text() + "".join(running.said)
    assert not (data / "TOKEN").exists()


def routes() -> list[tuple[str, str]]:
    """Method and path of every call that the application has."""
    ingest = [route for endpoint in (Logs, Ranges, RootIngest, LogsIngest) for route in endpoint.routes]
    cases: dict[str, Any] = {attribute.name: Mock() for attribute in fields(UseCases)}
    state: dict[str, Any] = {attribute.name: None for attribute in fields(ServerState)}
    app = create_api(UseCases(**cases), ServerState(**{**state, "ingest": ingest}))
    found = {(route.method, route.path) for route in ingest}
    for route in api_routes(app.routes):
        path = route.path.replace("/ui/{name:path}", "/ui/app.js")
        # A WebSocket begins as a GET; tests/ship/test_channel.py opens it from all places.
        methods = ["GET"] if isinstance(route, APIWebSocketRoute) else route.methods or ()
        found |= {(method, re.sub(r"\{[^}]*\}", "1", path)) for method in methods}
    return sorted(found)


def api_routes(listed: Sequence[object]) -> Iterator[APIRoute | APIWebSocketRoute]:
    for route in listed:
        # Newer versions of FastAPI keep an included router as it is, older ones take its routes over.
        included = getattr(route, "original_router", None)
        if included is not None:
            yield from api_routes(included.routes)
            continue
        assert isinstance(route, APIRoute | APIWebSocketRoute), f"a kind of route that is not known here: {route!r}"
        yield route


ROUTES = routes()
Routes = list[tuple[str, str]]
CLOSED: Routes = [route for route in ROUTES if route not in OPEN]


def refused(site: Site, url: str, headers: Headers, tried: Routes = CLOSED) -> dict[tuple[str, str], int]:
    """The routes that do not let these headers in, with their status."""
    with closing(site.connection(url)) as connection:
        answers = {route: status_of(connection, route, headers) for route in tried}
    return {route: status for route, status in answers.items() if status in SHUT}


def status_of(connection: HTTPConnection, route: tuple[str, str], headers: Headers) -> int:
    method, path = route
    # What is let in need not be searched for: that takes longer.
    connection.request(method, f"{path}?q=%22", headers=headers)
    answer = connection.getresponse()
    if answer.getheader("content-type", "").startswith("text/event-stream"):
        connection.close()  # the tail's body has no end
    else:
        answer.read()
    return answer.status


def all_with(status: int, tried: Routes = CLOSED) -> dict[tuple[str, str], int]:
    return dict.fromkeys(tried, status)


def tried_with(headers: Headers, first: Headers) -> Routes:
    """Every route with the first of its kind, some with the others."""
    return CLOSED if headers == first else CLOSED[::8]


def session_at(site: Site, url: str) -> Headers:
    with httpx.Client(base_url=url, verify=site.verify) as client:
        answer = client.post("/login", data={"token": TOKEN})
    assert answer.status_code == 303
    return {"Cookie": f"{COOKIE}={answer.cookies[COOKIE]}"}


def test_there_are_routes_and_the_open_ones_are_among_them() -> None:
    assert len(CLOSED) > 15
    assert set(ROUTES) >= OPEN


def test_what_is_open_is_open_to_all(site: Site) -> None:
    for url in (site.loopback, site.outside, site.loopback6):
        client = site.client(url)
        for headers in ({}, {"Host": "evil.example"}, *PROXIES):
            for method, path in OPEN - {("POST", "/login"), ("POST", "/logout")}:
                assert client.request(method, path, headers=headers).status_code == 200, (url, path, headers)


def test_this_machine_needs_no_token(site: Site) -> None:
    port = site.loopback.rpartition(":")[2]
    for url in (site.loopback, site.loopback6):
        assert refused(site, url, {}) == {}
    client = site.client(site.loopback)
    for name in ("localhost", f"LOCALHOST:{port}", "127.8.9.1", "[::1]:1"):
        assert client.get("/api/v1/status", headers={"Host": name}).status_code == 200, name
    assert client.get("/api/v1/status", headers=WRONG).status_code == 200
    own_page = {"Origin": site.loopback, "Sec-Fetch-Site": "same-origin"}
    assert client.get("/api/v1/status", headers=own_page).status_code == 200


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
def test_a_foreign_name_for_this_machine_is_refused(site: Site, host: str) -> None:
    # DNS rebinding: a page of evil.example whose name now points to 127.0.0.1 has its own origin as Host.
    tried = tried_with({"Host": host}, {"Host": FOREIGN_HOSTS[0]})

    assert refused(site, site.loopback, {"Host": host}, tried) == all_with(403, tried)
    its_page = {"Host": host, "Origin": f"{site.scheme}://{host}"}
    assert refused(site, site.loopback, its_page, tried) == all_with(403, tried)
    assert refused(site, site.loopback, {"Host": host, **BEARER}, tried) == {}


def test_two_names_at_once_are_refused(site: Site) -> None:
    with closing(site.connection(site.loopback)) as connection:
        connection.putrequest("GET", "/api/v1/status", skip_host=True)
        for name in ("localhost", "evil.example"):
            connection.putheader("Host", name)
        connection.endheaders()
        assert connection.getresponse().status == 403


@pytest.mark.parametrize("page", FOREIGN_PAGES, ids=str)
def test_pages_of_others_are_refused(site: Site, page: Headers) -> None:
    client, tried = site.client(site.loopback), tried_with(page, FOREIGN_PAGES[0])

    assert refused(site, site.loopback, page, tried) == all_with(403, tried)
    assert refused(site, site.loopback, page | session_at(site, site.loopback), tried) == all_with(403, tried)
    assert refused(site, site.loopback, page | BEARER, tried) == {}
    assert client.post("/login", headers=page, data={"token": TOKEN}).status_code == 403
    assert client.post("/logout", headers=page).status_code == 403


def test_a_link_from_elsewhere_may_be_followed(site: Site) -> None:
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    client = site.client(site.loopback)

    assert client.get("/docs", headers=link).status_code == 200
    assert client.post("/api/v1/logs", headers=link).status_code == 403


@pytest.mark.parametrize("proxy", PROXIES, ids=str)
def test_what_came_through_a_proxy_needs_the_token(site: Site, proxy: Headers) -> None:
    tried = tried_with(proxy, PROXIES[0])

    assert refused(site, site.loopback, proxy, tried) == all_with(401, tried)
    assert refused(site, site.loopback, proxy | BEARER, tried) == {}
    assert refused(site, site.loopback, proxy | session_at(site, site.loopback), tried) == {}
    assert site.from_fresh_address(site.loopback, "GET", "/api/v1/status", proxy | WRONG).status_code == 401


def test_another_machine_needs_the_token(site: Site) -> None:
    client = site.client(site.outside)

    assert refused(site, site.outside, {}) == all_with(401)
    assert refused(site, site.outside, {"Host": "localhost"}) == all_with(401)
    assert refused(site, site.outside, BEARER) == {}
    assert refused(site, site.outside, BEARER | {"Host": "logs.example"}) == {}
    session = session_at(site, site.outside)
    assert refused(site, site.outside, session) == {}
    assert refused(site, site.outside, session | {"Origin": "https://evil.example"}) == all_with(403)
    assert "bearer" in client.get("/api/v1/status").headers["WWW-Authenticate"].lower()


def test_a_wrong_token_opens_nothing(site: Site) -> None:
    for route in CLOSED:
        for url, headers in ((site.outside, WRONG), (site.loopback, WRONG | {"Host": "evil.example"})):
            assert site.from_fresh_address(url, *route, headers).status_code == 401, (route, url)


@pytest.mark.parametrize(
    "given",
    [
        {"Authorization": "Bearer"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": TOKEN},
        {"Authorization": f"Bearer {TOKEN[:-1]}"},
        {"Authorization": f"Bearer {TOKEN} x"},
        {"Cookie": f"{COOKIE}={TOKEN}"},
        {"Cookie": f"{COOKIE}="},
        {"Cookie": f"{COOKIE}=99999999999.00.00"},
        {"Cookie": f"token={TOKEN}"},
    ],
    ids=str,
)
def test_what_is_not_the_token_is_not(site: Site, given: Headers) -> None:
    assert site.from_fresh_address(site.outside, "GET", "/api/v1/status", given).status_code == 401
    assert site.from_fresh_address(site.outside, "GET", f"/api/v1/status?token={TOKEN}", given).status_code == 401


def test_only_wrong_tokens_are_slowed(site: Site) -> None:
    guesser, session = site.client(site.outside, fresh_address()), session_at(site, site.outside)
    statuses = [
        guesser.get("/api/v1/status", headers={"Authorization": f"Bearer {number}"}).status_code
        for number in range(MAX_WRONG)
    ]
    with ThreadPoolExecutor() as at_once:
        wrongly = at_once.submit(guesser.post, "/login", data={"token": "wrong"})
        late = guesser.get("/api/v1/status", headers=WRONG)
        wrong_login = wrongly.result()

    assert statuses == [401] * MAX_WRONG
    assert (late.status_code, wrong_login.status_code) == (429, 429)
    assert min(late.elapsed, wrong_login.elapsed).total_seconds() >= DELAY_SECONDS
    assert 0 < int(late.headers["Retry-After"]) <= 60
    assert late.headers["Connection"] == "close"
    assert guesser.get("/api/v1/status").status_code == 401

    # Behind one proxy all have this address: whoever is right comes in, at once.
    began = time.monotonic()
    assert guesser.get("/api/v1/status", headers=BEARER).status_code == 200
    assert guesser.get("/api/v1/status", headers=session).status_code == 200
    assert guesser.post("/login", data={"token": TOKEN}).status_code == 303
    assert guesser.post("/api/v1/logs", headers=BEARER, json={"message": "let in"}).status_code == 200
    assert time.monotonic() - began < DELAY_SECONDS
    other = site.from_fresh_address(site.outside, "GET", "/api/v1/status", BEARER)
    assert other.status_code == 200


def test_login_gives_a_browser_a_session(site: Site) -> None:
    browser = site.client(site.outside, fresh_address(), Accept="text/html")
    led = browser.get("/docs?a=1&b=2")
    page = browser.get(led.headers["Location"])
    action = re.search(r'action="([^"]+)"', page.text)
    assert action
    wrong = browser.post(action[1], data={"token": "wrong"})
    cookies_of_wrong = wrong.headers.get("Set-Cookie")
    done = browser.post(action[1], data={"token": TOKEN})
    cookie = done.headers["Set-Cookie"]

    assert (led.status_code, page.status_code, wrong.status_code, done.status_code) == (303, 200, 401, 303)
    assert "<script" not in page.text
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert cookies_of_wrong is None
    assert done.headers["Location"] == "/docs?a=1&b=2"
    assert {"HttpOnly", "SameSite=strict", "Path=/", f"Max-Age={LIFE_SECONDS}"} <= set(cookie.split("; "))
    assert ("Secure" in cookie.split("; ")) == (site.scheme == "https")
    assert TOKEN not in cookie
    assert browser.get("/docs").status_code == 200


def test_logout_takes_the_session_from_the_browser(site: Site) -> None:
    browser = site.client(site.outside, Accept="text/html")
    browser.post("/login", data={"token": TOKEN})
    page = browser.get("/login")
    button = re.search(r'<form method="post" action="([^"]+)">\s*<button>Log out', page.text)
    assert button
    done = browser.post(button[1])

    assert (page.status_code, done.status_code, done.headers["Location"]) == (200, 303, "/login")
    assert {"Max-Age=0", "HttpOnly", "SameSite=strict", "Path=/"} <= set(done.headers["Set-Cookie"].split("; "))
    assert COOKIE not in browser.cookies
    assert browser.get("/docs").status_code == 303
    assert "Log out" not in browser.get("/login").text
    assert browser.post("/logout").status_code == 303


@pytest.mark.parametrize(
    "wanted", ["https://evil.example/", "//evil.example", "/\\evil.example", "/\t/evil.example", "x"]
)
def test_login_leads_nowhere_else(site: Site, wanted: str) -> None:
    client = site.client(site.loopback)
    answer = client.post("/login", params={"next": wanted}, data={"token": TOKEN})

    assert answer.headers["Location"] == "/"


def test_the_login_page_shows_nothing_that_it_was_told(site: Site) -> None:
    client = site.client(site.loopback)

    assert "<script" not in client.get('/login?next="><script>alert(1)</script>').text


def test_named_pages_of_others_may_ask(site: Site) -> None:
    asks = {"Origin": APP_ORIGIN, "Access-Control-Request-Method": "POST"}
    client = site.client(site.outside)
    before = client.options("/api/v1/logs", headers=asks)
    told = client.get("/api/v1/status", headers=BEARER | {"Origin": APP_ORIGIN, "Sec-Fetch-Site": "cross-site"})
    not_let_in = client.get("/api/v1/status", headers={"Origin": APP_ORIGIN})
    local = site.client(site.loopback).get("/api/v1/status", headers={"Origin": APP_ORIGIN})

    assert before.status_code == 204
    assert "authorization" in before.headers["Access-Control-Allow-Headers"]
    assert (told.status_code, not_let_in.status_code, local.status_code) == (200, 401, 200)
    for answer in (before, told, not_let_in, local):
        assert answer.headers["Access-Control-Allow-Origin"] == APP_ORIGIN
        assert "origin" in answer.headers["Vary"].lower()
        assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize("origin", ["https://evil.example", "http://app.example:8443", "https://app.example", "null"])
def test_pages_that_are_nearly_named_may_not_ask(site: Site, origin: str) -> None:
    asks = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    for url in (site.loopback, site.outside):
        answer = site.client(url).options("/api/v1/logs", headers=asks)

        assert answer.status_code == 403
        assert "Access-Control-Allow-Origin" not in answer.headers


def test_keys_of_different_senders_do_not_meet(site: Site) -> None:
    key = {"Idempotency-Key": "one key"}
    record = {"message": "the same from both"}
    local = site.client(site.loopback).post("/api/v1/logs", json=record, headers=key)
    outside = site.client(site.outside)
    first, again = (outside.post("/api/v1/logs", json=record, headers=key | BEARER) for _ in range(2))

    assert [answer.json()["duplicate"] for answer in (local, first, again)] == [False, False, True]


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "logriver", *arguments],
        input="a line\n",
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


def test_commands_show_the_token(site: Site, certificate: tuple[Path, Path]) -> None:
    trust = {"SSL_CERT_FILE": str(certificate[0])} if site.scheme == "https" else {}
    place = ("--server", site.outside)
    with ThreadPoolExecutor() as at_once:
        asked = [
            at_once.submit(command, "send", *place, **trust),
            at_once.submit(command, "send", *place, **trust, LOGRIVER_TOKEN=TOKEN),
            at_once.submit(command, "dead-letters", "ls", *place, "--token", TOKEN, **trust),
            at_once.submit(command, "search", "x", "--server", site.loopback, **trust),
        ]
    without, sent, listed, found = (one.result() for one in asked)

    assert (without.returncode, sent.returncode, listed.returncode) == (1, 0, 0), listed.stderr
    assert "token is needed" in without.stderr
    assert found.returncode in (0, 1)


def test_a_token_is_made_once_and_shown_once(tmp_path: Path) -> None:
    said: list[list[str]] = []
    for _ in range(2):
        with serving(tmp_path / "data", "--listen", "127.0.0.1:0", environment={}) as running:
            kept = (tmp_path / "data" / "TOKEN").read_text().strip()
            proxied = {"Via": "1.1 proxy", "Authorization": f"Bearer {kept}"}
            assert httpx.get(f"{running.loopback}/api/v1/status", headers=proxied).status_code == 200
        said.append(running.said)
    first, second = map("".join, said)

    assert len(kept) >= 40
    assert first.count(kept) == 1
    assert kept not in second
    assert kept not in (tmp_path / "data.log").read_text()
    assert stat.S_IMODE((tmp_path / "data" / "TOKEN").stat().st_mode) == 0o600


def test_a_certificate_that_cannot_be_used_is_refused(certificate: tuple[Path, Path]) -> None:
    chain, key = certificate

    assert check_certificate(chain, key)
    assert not check_certificate(None, None)
    with pytest.raises(SettingsError, match="belong together"):
        check_certificate(chain, None)
    with pytest.raises(SettingsError, match="cannot be used"):
        check_certificate(chain, chain)
    with pytest.raises(SettingsError, match="cannot be used"):
        check_certificate(key.with_name("none.pem"), key)
