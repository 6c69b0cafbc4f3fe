"""The doors: every route, from every place, without, with a wrong and with the right token, over http and https."""

import contextlib
import os
import re
import ssl
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, fields
from http.client import HTTPConnection, HTTPSConnection
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute, APIWebSocketRoute

from logriver.api.app import create_api
from logriver.api.services import Services
from logriver.auth.attempts import MAX_FAILURES
from logriver.auth.sessions import COOKIE, LIFE_SECONDS
from logriver.errors import SettingsError
from logriver.ingest.http import Receiver
from logriver.ingest.listen import check_certificate
from logriver.ingest.ranges import Ranges
from logriver.settings import Settings

TOKEN = "a token that nobody guesses"
APP_ORIGIN = "https://app.example:8443"
OPEN = {(method, path) for path in ("/", "/ui/app.js", "/health", "/ready") for method in ("GET", "HEAD")}
OPEN |= {("GET", "/login"), ("POST", "/login"), ("POST", "/logout")}
SHUT = {401, 403, 429}
Headers = dict[str, str]

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
)

_senders = count(2)


def fresh_address() -> str:
    """An address of this machine that has not sent a wrong token yet: those are counted."""
    number = next(_senders)
    return f"127.1.{number // 250}.{number % 250 + 2}"


@dataclass
class Doors:
    """A server that listens on loopback and elsewhere."""

    scheme: str
    process: subprocess.Popen[str]
    verify: ssl.SSLContext | bool
    said: list[str]
    loopback: str = ""
    outside: str = ""
    loopback6: str = ""
    clients: list[httpx.Client] = field(default_factory=list)

    def hear(self, addresses: int, own_log: Path) -> None:
        """Wait until the server has said so many addresses."""
        assert self.process.stdout is not None
        urls: list[str] = []
        while len(urls) < addresses:
            line = self.process.stdout.readline()
            assert line, own_log.read_text()
            self.said.append(line)
            urls += re.findall(r"logriver listens on (\S+)", line)
        self.scheme = urls[0].partition(":")[0]
        self.loopback, self.outside, self.loopback6 = [*urls, "", ""][:3]

    def client(self, url: str, sender: str | None = None, **headers: str) -> httpx.Client:
        transport = httpx.HTTPTransport(verify=self.verify, local_address=sender)
        client = httpx.Client(base_url=url, transport=transport, headers=headers, timeout=60)
        self.clients.append(client)
        return client

    def from_fresh_address(self, url: str, method: str, path: str, headers: Headers) -> httpx.Response:
        transport = httpx.HTTPTransport(verify=self.verify, local_address=fresh_address())
        with httpx.Client(base_url=url, transport=transport, timeout=60) as client:
            return client.request(method, path, headers=headers)


@contextlib.contextmanager
def serving(data: Path, *arguments: str, environment: Headers | None = None) -> Iterator[Doors]:
    """A server and what it says until it has said all of its addresses."""
    command = [sys.executable, "-m", "logriver", "serve", "--data", str(data), *arguments]
    given = {"LOGRIVER_TOKEN": TOKEN} if environment is None else environment
    with data.with_name(f"{data.name}.log").open("w") as own_log:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=own_log, text=True, env={**os.environ, **given}
        )
    doors = Doors("", process, True, [])
    try:
        doors.hear(max(1, arguments.count("--listen")), data.with_name(f"{data.name}.log"))
        yield doors
    finally:
        for client in doors.clients:
            client.close()
        process.terminate()
        assert process.stdout is not None
        doors.said += process.stdout.readlines()
        process.stdout.close()
        process.wait(60)
    assert process.returncode == 0


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory, own_address: str) -> tuple[Path, Path]:
    directory = tmp_path_factory.mktemp("tls")
    certificate, key = directory / "cert.pem", directory / "key.pem"
    names = f"subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1,IP:{own_address}"
    ask = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=logriver"
    given = ["-addext", names, "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*ask.split(), *given], check=True, capture_output=True)
    return certificate, key


@pytest.fixture(scope="module", params=["http", "https"])
def doors(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    own_address: str,
    certificate: tuple[Path, Path],
) -> Iterator[Doors]:
    listen = ["--listen", "127.0.0.1:0", "--listen", f"{own_address}:0", "--listen", "[::1]:0"]
    tls = ["--tls-cert", str(certificate[0]), "--tls-key", str(certificate[1])] if request.param == "https" else []
    data = tmp_path_factory.mktemp("doors") / "data"
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
    nothing: dict[str, Any] = {attribute.name: None for attribute in fields(Services)}
    app = create_api(Services(**{**nothing, "settings": Settings(), "promoted": frozenset()}))
    found = {("POST", path) for path in Receiver.PATHS} | Ranges.CALLS
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


def refused(client: httpx.Client, headers: Headers, tried: Routes = CLOSED) -> dict[tuple[str, str], int]:
    """The routes that do not let these headers in, with their status."""
    answers = {route: status_of(client, route, headers) for route in tried}
    return {route: status for route, status in answers.items() if status in SHUT}


def status_of(client: httpx.Client, route: tuple[str, str], headers: Headers) -> int:
    with client.stream(*route, headers=headers) as answer:  # the tail's body has no end
        return answer.status_code


def all_with(status: int, tried: Routes = CLOSED) -> dict[tuple[str, str], int]:
    return dict.fromkeys(tried, status)


def tried_with(headers: Headers, first: Headers) -> Routes:
    """Every route with the first of its kind, some with the others."""
    return CLOSED if headers == first else CLOSED[::8]


def session_at(doors: Doors, url: str) -> Headers:
    with httpx.Client(base_url=url, verify=doors.verify) as client:
        answer = client.post("/login", data={"token": TOKEN})
    assert answer.status_code == 303
    return {"Cookie": f"{COOKIE}={answer.cookies[COOKIE]}"}


def test_there_are_routes_and_the_open_ones_are_among_them() -> None:
    assert len(CLOSED) > 15
    assert set(ROUTES) >= OPEN


def test_what_is_open_is_open_to_all(doors: Doors) -> None:
    for url in (doors.loopback, doors.outside, doors.loopback6):
        client = doors.client(url)
        for headers in ({}, {"Host": "evil.example"}, *PROXIES):
            for method, path in OPEN - {("POST", "/login"), ("POST", "/logout")}:
                assert client.request(method, path, headers=headers).status_code == 200, (url, path, headers)


def test_this_machine_needs_no_token(doors: Doors) -> None:
    port = doors.loopback.rpartition(":")[2]
    for url in (doors.loopback, doors.loopback6):
        assert refused(doors.client(url), {}) == {}
    client = doors.client(doors.loopback)
    for name in ("localhost", f"LOCALHOST:{port}", "127.8.9.1", "[::1]:1"):
        assert client.get("/api/v1/status", headers={"Host": name}).status_code == 200, name
    assert client.get("/api/v1/status", headers=WRONG).status_code == 200
    own_page = {"Origin": doors.loopback, "Sec-Fetch-Site": "same-origin"}
    assert client.get("/api/v1/status", headers=own_page).status_code == 200


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
def test_a_foreign_name_for_this_machine_is_refused(doors: Doors, host: str) -> None:
    # DNS rebinding: a page of evil.example whose name now points to 127.0.0.1 has its own origin as Host.
    client, tried = doors.client(doors.loopback), tried_with({"Host": host}, {"Host": FOREIGN_HOSTS[0]})

    assert refused(client, {"Host": host}, tried) == all_with(403, tried)
    assert refused(client, {"Host": host, "Origin": f"{doors.scheme}://{host}"}, tried) == all_with(403, tried)
    assert refused(client, {"Host": host, **BEARER}, tried) == {}


def test_two_names_at_once_are_refused(doors: Doors) -> None:
    host, _, port = doors.loopback.rpartition("/")[2].rpartition(":")
    if isinstance(doors.verify, ssl.SSLContext):
        connection: HTTPConnection = HTTPSConnection(host, int(port), context=doors.verify)
    else:
        connection = HTTPConnection(host, int(port))
    with closing(connection):
        connection.putrequest("GET", "/api/v1/status", skip_host=True)
        for name in ("localhost", "evil.example"):
            connection.putheader("Host", name)
        connection.endheaders()
        assert connection.getresponse().status == 403


@pytest.mark.parametrize("page", FOREIGN_PAGES, ids=str)
def test_pages_of_others_are_refused(doors: Doors, page: Headers) -> None:
    client, tried = doors.client(doors.loopback), tried_with(page, FOREIGN_PAGES[0])

    assert refused(client, page, tried) == all_with(403, tried)
    assert refused(client, page | session_at(doors, doors.loopback), tried) == all_with(403, tried)
    assert refused(client, page | BEARER, tried) == {}
    assert client.post("/login", headers=page, data={"token": TOKEN}).status_code == 403
    assert client.post("/logout", headers=page).status_code == 403


def test_a_link_from_elsewhere_may_be_followed(doors: Doors) -> None:
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    client = doors.client(doors.loopback)

    assert client.get("/docs", headers=link).status_code == 200
    assert client.post("/api/v1/logs", headers=link).status_code == 403


@pytest.mark.parametrize("proxy", PROXIES, ids=str)
def test_what_came_through_a_proxy_needs_the_token(doors: Doors, proxy: Headers) -> None:
    client, tried = doors.client(doors.loopback), tried_with(proxy, PROXIES[0])

    assert refused(client, proxy, tried) == all_with(401, tried)
    assert refused(client, proxy | BEARER, tried) == {}
    assert refused(client, proxy | session_at(doors, doors.loopback), tried) == {}
    assert doors.from_fresh_address(doors.loopback, "GET", "/api/v1/status", proxy | WRONG).status_code == 401


def test_another_machine_needs_the_token(doors: Doors) -> None:
    client = doors.client(doors.outside)

    assert refused(client, {}) == all_with(401)
    assert refused(client, {"Host": "localhost"}) == all_with(401)
    assert refused(client, BEARER) == {}
    assert refused(client, BEARER | {"Host": "logs.example"}) == {}
    assert refused(client, session_at(doors, doors.outside)) == {}
    assert refused(client, session_at(doors, doors.outside) | {"Origin": "https://evil.example"}) == all_with(403)
    assert "bearer" in client.get("/api/v1/status").headers["WWW-Authenticate"].lower()


def test_a_wrong_token_opens_nothing(doors: Doors) -> None:
    for route in CLOSED:
        for url, headers in ((doors.outside, WRONG), (doors.loopback, WRONG | {"Host": "evil.example"})):
            assert doors.from_fresh_address(url, *route, headers).status_code == 401, (route, url)


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
def test_what_is_not_the_token_is_not(doors: Doors, given: Headers) -> None:
    assert doors.from_fresh_address(doors.outside, "GET", "/api/v1/status", given).status_code == 401
    assert doors.from_fresh_address(doors.outside, "GET", f"/api/v1/status?token={TOKEN}", given).status_code == 401


def test_too_many_wrong_tokens_have_to_wait(doors: Doors) -> None:
    guesser, session = doors.client(doors.outside, fresh_address()), session_at(doors, doors.outside)
    statuses = [
        guesser.get("/api/v1/status", headers={"Authorization": f"Bearer {number}"}).status_code
        for number in range(MAX_FAILURES + 2)
    ]
    late = guesser.get("/api/v1/status", headers=BEARER)

    assert statuses == [401] * MAX_FAILURES + [429] * 2
    assert late.status_code == 429
    assert 0 < int(late.headers["Retry-After"]) <= 60
    assert guesser.post("/login", data={"token": TOKEN}).status_code == 429
    assert guesser.get("/api/v1/status").status_code == 401
    assert guesser.get("/api/v1/status", headers=session).status_code == 200
    other = doors.from_fresh_address(doors.outside, "GET", "/api/v1/status", BEARER)
    assert other.status_code == 200


def test_login_gives_a_browser_a_session(doors: Doors) -> None:
    browser = doors.client(doors.outside, fresh_address(), Accept="text/html")
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
    assert ("Secure" in cookie.split("; ")) == (doors.scheme == "https")
    assert TOKEN not in cookie
    assert browser.get("/docs").status_code == 200


def test_logout_takes_the_session_from_the_browser(doors: Doors) -> None:
    browser = doors.client(doors.outside, Accept="text/html")
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
def test_login_leads_nowhere_else(doors: Doors, wanted: str) -> None:
    client = doors.client(doors.loopback)
    answer = client.post("/login", params={"next": wanted}, data={"token": TOKEN})

    assert answer.headers["Location"] == "/"


def test_the_login_page_shows_nothing_that_it_was_told(doors: Doors) -> None:
    client = doors.client(doors.loopback)

    assert "<script" not in client.get('/login?next="><script>alert(1)</script>').text


def test_named_pages_of_others_may_ask(doors: Doors) -> None:
    asks = {"Origin": APP_ORIGIN, "Access-Control-Request-Method": "POST"}
    client = doors.client(doors.outside)
    before = client.options("/api/v1/logs", headers=asks)
    told = client.get("/api/v1/status", headers=BEARER | {"Origin": APP_ORIGIN, "Sec-Fetch-Site": "cross-site"})
    not_let_in = client.get("/api/v1/status", headers={"Origin": APP_ORIGIN})
    local = doors.client(doors.loopback).get("/api/v1/status", headers={"Origin": APP_ORIGIN})

    assert before.status_code == 204
    assert "authorization" in before.headers["Access-Control-Allow-Headers"]
    assert (told.status_code, not_let_in.status_code, local.status_code) == (200, 401, 200)
    for answer in (before, told, not_let_in, local):
        assert answer.headers["Access-Control-Allow-Origin"] == APP_ORIGIN
        assert "origin" in answer.headers["Vary"].lower()
        assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize("origin", ["https://evil.example", "http://app.example:8443", "https://app.example", "null"])
def test_pages_that_are_nearly_named_may_not_ask(doors: Doors, origin: str) -> None:
    asks = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    for url in (doors.loopback, doors.outside):
        answer = doors.client(url).options("/api/v1/logs", headers=asks)

        assert answer.status_code == 403
        assert "Access-Control-Allow-Origin" not in answer.headers


def test_keys_of_different_senders_do_not_meet(doors: Doors) -> None:
    key = {"Idempotency-Key": "one key"}
    record = {"message": "the same from both"}
    local = doors.client(doors.loopback).post("/api/v1/logs", json=record, headers=key)
    outside = doors.client(doors.outside)
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


def test_commands_show_the_token(doors: Doors, certificate: tuple[Path, Path]) -> None:
    trust = {"SSL_CERT_FILE": str(certificate[0])} if doors.scheme == "https" else {}
    place = ("--server", doors.outside)
    without = command("send", *place, **trust)
    sent = command("send", *place, **trust, LOGRIVER_TOKEN=TOKEN)
    listed = command("dead-letters", "ls", *place, "--token", TOKEN, **trust)

    assert (without.returncode, sent.returncode, listed.returncode) == (1, 0, 0), listed.stderr
    assert "token is needed" in without.stderr
    assert command("search", "x", "--server", doors.loopback, **trust).returncode in (0, 1)


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
