"""Who needs no token: clients of this machine as they really ask, no proxy that can be recognised, and when at all."""

import socket
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from logriver.auth.proxy_headers import is_proxy_header
from logriver.errors import SettingsError
from logriver.ingest.listen import trusts_loopback
from logriver.settings import load
from tests.conftest import RunningServer

# As these programs send them to http://127.0.0.1:PORT, without settings of their own.
LOCAL_CLIENTS = {
    "curl": "GET {} HTTP/1.1|Host: {}|User-Agent: curl/7.88.1|Accept: */*",
    "curl, not kept alive": "GET {} HTTP/1.1|Host: {}|User-Agent: curl/7.88.1|Accept: */*|Connection: close",
    "wget": "GET {} HTTP/1.1|User-Agent: Wget/1.21.3|Accept: */*|Accept-Encoding: identity|Host: {}|"
    "Connection: Keep-Alive",
    "urllib": "GET {} HTTP/1.1|Accept-Encoding: identity|Host: {}|User-Agent: Python-urllib/3.11|Connection: close",
    "http.client": "GET {} HTTP/1.1|Host: {}|Accept-Encoding: identity",
    "requests": "GET {} HTTP/1.1|Host: {}|User-Agent: python-requests/2.32|Accept-Encoding: gzip, deflate|Accept: */*|"
    "Connection: keep-alive",
    "Prometheus": "GET {} HTTP/1.1|Host: {}|User-Agent: Prometheus/2.42.0|Accept: text/plain;version=0.0.4|"
    "Accept-Encoding: gzip|X-Prometheus-Scrape-Timeout-Seconds: 10",
    "Go": "GET {} HTTP/1.1|Host: {}|User-Agent: Go-http-client/1.1|Connection: close|Accept-Encoding: gzip",
    "Node's fetch": "GET {} HTTP/1.1|host: {}|connection: keep-alive|accept: */*|accept-language: *|"
    "sec-fetch-mode: cors|user-agent: node|accept-encoding: br, gzip, deflate",
    "Rust's hyper": "GET {} HTTP/1.1|accept: */*|user-agent: Vector/0.34|host: {}",
    "a browser": "GET {} HTTP/1.1|Host: {}|Connection: keep-alive|sec-ch-ua-platform: Linux|User-Agent: Mozilla/5.0|"
    "Accept: */*|Sec-Fetch-Site: same-origin|Sec-Fetch-Mode: cors|Sec-Fetch-Dest: empty|Cookie: other=1",
}
PROXIES = {
    "nginx": "GET {} HTTP/1.0|Host: {}|Connection: close|User-Agent: curl/7.88.1|Accept: */*",
    "nginx with proxy_http_version 1.1": "GET {} HTTP/1.1|Host: {}|Connection: close|User-Agent: curl/7.88.1",
    "nginx, and nothing from the client": "GET {} HTTP/1.1|Host: {}|Connection: close",
    "nginx with a header of its own": "GET {} HTTP/1.1|X-Tenant: a|Host: {}|Connection: close|User-Agent: curl/7.88.1",
    "Apache": "GET {} HTTP/1.1|Host: {}|X-Forwarded-For: 127.0.0.1|X-Forwarded-Host: a|X-Forwarded-Server: x",
    "ab, which looks like one": "GET {} HTTP/1.0|Connection: Keep-Alive|Host: {}|User-Agent: ApacheBench/2.3",
}
PROXY_HEADERS = """
Forwarded Forwarded-For Via X-Forwarded X-Forwarded-For X-Forwarded-Host X-Forwarded-Proto X-Forwarded-Client-Cert
X-Real-IP X-Client-IP Client-IP True-Client-IP X-Cluster-Client-IP X-Original-Host X-Original-URL
X-Original-Forwarded-For Fastly-Client-IP Fastly-FF CF-Connecting-IP CF-Ray CF-Pseudo-IPv4 CDN-Loop X-Azure-ClientIP
X-Azure-SocketIP CloudFront-Viewer-Address X-Amz-Cf-Id Fly-Client-IP X-Envoy-External-Address X-Varnish
X-AppEngine-User-IP DO-Connecting-IP X-NF-Client-Connection-IP X-Vercel-Forwarded-For Akamai-Origin-Hop
Incap-Client-IP X-Sucuri-ClientIP WL-Proxy-Client-IP Proxy-Client-IP Proxy-Connection Ali-CDN-Real-IP
Tailscale-User-Login X-ProxyUser-IP
"""
CLIENT_HEADERS = """
Host User-Agent Accept Accept-Encoding Accept-Language Authorization Cookie Connection Content-Length Content-Type
Idempotency-Key Origin Referer Traceparent Tracestate Baggage X-Request-ID X-B3-TraceId X-Amzn-Trace-Id X-Amz-Date
X-Requested-With X-Scope-OrgID X-Prometheus-Scrape-Timeout-Seconds Upgrade Sec-WebSocket-Key Sec-Fetch-Site DNT TE
Cache-Control If-None-Match Expect Last-Event-ID DD-API-KEY X-Splunk-Request-Channel X-ClickHouse-User Client-Version
"""


def status_of(url: str, head: str) -> int:
    """The status that a head written with `|` for line ends is answered with."""
    address = httpx.URL(url)
    place = f"{address.host}:{address.port}"
    lines = head.replace("{}", "/api/v1/status", 1).replace("{}", place).replace("|", "\r\n")
    with socket.create_connection((address.host, address.port or 80), timeout=20) as connection:
        connection.sendall(f"{lines}\r\n\r\n".encode())
        answer = b""
        while b"\r\n" not in answer and (piece := connection.recv(65536)):
            answer += piece
    return int(answer.split()[1])


@pytest.mark.parametrize("client", LOCAL_CLIENTS)
def test_clients_of_this_machine_need_no_token(server: RunningServer, client: str) -> None:
    assert status_of(server.url, LOCAL_CLIENTS[client]) == 200


@pytest.mark.parametrize("proxy", PROXIES)
def test_what_looks_like_a_proxy_needs_the_token(server: RunningServer, proxy: str) -> None:
    token = (server.data / "TOKEN").read_text().strip()

    assert status_of(server.url, PROXIES[proxy]) == 401
    assert status_of(server.url, f"{PROXIES[proxy]}|Authorization: Bearer {token}") == 200


def test_the_headers_of_proxies_are_known_and_those_of_clients_are_none() -> None:
    assert [name for name in PROXY_HEADERS.split() if not is_proxy_header(name.lower().encode())] == []
    assert [name for name in CLIENT_HEADERS.split() if is_proxy_header(name.lower().encode())] == []


@pytest.mark.parametrize(
    ("settings", "trusted"),
    [
        ({}, True),
        ({"listen": ["127.0.0.1:1", "[::1]:1", "localhost:1", ":1"]}, True),
        ({"listen": ["127.0.0.1:1", "unix:/run/x.sock"]}, True),
        ({"listen": ["0.0.0.0:1"]}, False),
        ({"listen": ["[::]:1"]}, False),
        ({"listen": ["127.0.0.1:1", "10.0.0.1:1"]}, False),
        ({"token": "set by somebody"}, False),
        ({"token": "set by somebody", "trust_loopback": True}, True),
        ({"listen": ["0.0.0.0:1"], "trust_loopback": True}, True),
        ({"trust_loopback": False}, False),
    ],
    ids=str,
)
def test_when_this_machine_is_trusted(settings: dict[str, Any], trusted: bool) -> None:
    assert trusts_loopback(load(**settings)) is trusted


def test_a_listener_that_is_none_is_refused() -> None:
    with pytest.raises(SettingsError, match="not an address"):
        trusts_loopback(load(listen=["nowhere"]))


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        ((), {"LOGRIVER_TOKEN": "a token that was set"}),
        (("--listen", "0.0.0.0:0"), {}),
        ((), {"LOGRIVER_TRUST_LOOPBACK": "false"}),
    ],
    ids=["token set", "listens to a network", "not trusted"],
)
def test_where_it_is_not_trusted_everybody_shows_the_token(
    new_server: Callable[..., RunningServer], arguments: tuple[str, ...], environment: dict[str, str]
) -> None:
    running = new_server(*arguments, **environment)
    token = environment.get("LOGRIVER_TOKEN") or (running.data / "TOKEN").read_text().strip()
    bearer = {"Authorization": f"Bearer {token}"}

    assert running.client.get("/api/v1/status").status_code == 401
    assert running.client.post("/api/v1/logs", json={"message": "m"}).status_code == 401
    assert running.client.get("/health").status_code == 200
    for _ in range(3):  # the later ones by the head that the connection has remembered
        assert running.client.post("/api/v1/logs", json={"message": "m"}, headers=bearer).status_code == 200
    assert running.client.post("/api/v1/logs", json={"message": "m"}).status_code == 401
    waits = running.client.post("/api/v1/logs?wait=searchable", json={"message": "m"}, headers=bearer)
    assert waits.json()["searchable"]
    assert running.client.get("/api/v1/status", headers=bearer).json()["stored"] == 4
