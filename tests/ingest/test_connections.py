"""Floods of connections: who has to go, who stays, and that the server has descriptors left for everything else."""

import itertools
import json
import os
import resource
import socket
import ssl
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from logriver.ingest import web_server
from logriver.ingest.connections import Patience
from tests.ingest.raw_client import RawClient, connected, many
from tests.ingest.web_serving import WebServing, wait_until

HALF = b"GET / HTTP/1.1\r\nHost: x\r\n"
WHOLE = HALF + b"\r\n"
HELD = WHOLE.replace(b"/ ", b"/held ")
STRANGER = WHOLE.replace(b"/ ", b"/stranger ")
BUDGET = 8


@pytest.fixture(autouse=True, scope="module")
def enough_descriptors() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServing]:
    monkeypatch.setattr(web_server, "connections_each", lambda listeners: BUDGET)
    running = WebServing(Patience())
    yield running
    running.stop()


def ask(client: RawClient, request: bytes = WHOLE) -> int:
    client.send(request)
    return client.answer().status


def test_the_oldest_half_open_head_goes_for_a_new_connection(web: WebServing) -> None:
    with many(web.url, BUDGET, HALF) as half, connected(web) as new:
        assert ask(new) == 200
        assert half[0].closed()
        half[1].send(b"\r\n")
        assert half[1].answer().status == 200


def test_idle_connections_go_when_nobody_is_half_open_and_busy_ones_never(web: WebServing) -> None:
    with many(web.url, BUDGET) as known:
        assert [ask(client) for client in known] == [200] * BUDGET
        known[0].send(HELD)
        wait_until(lambda: len(web.application.bodies) == BUDGET + 1)
        with connected(web) as new:
            assert ask(new) == 200
            assert known[1].closed()
        web.release()
        assert known[0].answer().status == 200


def test_strangers_go_before_who_was_let_in(web: WebServing) -> None:
    with many(web.url, 2) as known, many(web.url, BUDGET - 2) as strangers:
        assert [ask(client) for client in known] == [200] * 2
        assert [ask(client, STRANGER) for client in strangers] == [200] * len(strangers)
        with many(web.url, 3 * BUDGET, HALF):
            assert [ask(client) for client in known] == [200] * 2


def test_where_all_are_busy_a_new_one_is_told_so(web: WebServing) -> None:
    with many(web.url, BUDGET, HELD) as busy:
        wait_until(lambda: len(web.application.bodies) == BUDGET)
        for _ in range(3):
            with connected(web) as new:
                new.send(WHOLE)
                answer = new.answer()
                assert (answer.status, answer.code) == (503, "unavailable")
                assert int(answer.headers["retry-after"]) > 0
                assert new.closed()
        web.release()
        assert [client.answer().status for client in busy] == [200] * BUDGET
        assert ask(busy[0]) == 200
    wait_until(lambda: web.connections == 0)
    with connected(web) as new:
        assert ask(new) == 200


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    ask = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=x"
    given = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*ask.split(), *given], check=True, capture_output=True)
    return certificate, key


def test_handshakes_that_never_end_are_counted_and_make_space(
    monkeypatch: pytest.MonkeyPatch, certificate: tuple[Path, Path]
) -> None:
    monkeypatch.setattr(web_server, "connections_each", lambda listeners: BUDGET)
    web = WebServing(Patience(), *certificate)
    context = ssl.create_default_context(cafile=str(certificate[0]))
    try:
        with many(web.url, 4 * BUDGET, b"\x16\x03\x01") as silent:
            with connected(web, context) as client:
                assert ask(client) == 200
            wait_until(lambda: sum(client.waits() for client in silent) >= 3 * BUDGET)
    finally:
        web.stop()


def limited(server: Any, descriptors: int) -> Any:
    """The server, started again with so many descriptors."""
    assert server.stop() == 0
    server.wrapper = ["prlimit", f"--nofile={descriptors}:{descriptors}", "--"]
    server.start()
    return server


def post(url: str) -> int:
    accepted: int = httpx.post(f"{url}/api/v1/logs", json={"message": "beside a flood"}, timeout=20).json()["accepted"]
    return accepted


def p50_ms(ask: Callable[[], Any], times: int) -> float:
    taken = []
    for _ in range(times):
        began = time.monotonic()
        ask()
        taken.append(time.monotonic() - began)
    return 1000 * statistics.median(taken)


def health(url: str) -> None:
    with connected_to(url) as client:
        client.send(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.answer().status == 200


def connected_to(url: str) -> Any:
    return connected(type("Server", (), {"url": url}))


def test_1500_half_open_heads_leave_health_and_ingest_alone_with_few_descriptors(new_server: Any) -> None:
    server = limited(new_server(), 512)
    url = server.url
    process = psutil.Process(server.process.pid)
    before = p50_ms(lambda: health(url), 20)
    server.client.get("/api/v1/status").raise_for_status()
    with many(url, 1500, b"POST /api/v1/logs HTTP/1.1\r\nHost: localhost\r\nX: ") as half:
        beside = p50_ms(lambda: health(url), 40)
        print(f"/health, p50: {before:.2f} ms alone, {beside:.2f} ms beside 1500 half-open heads")
        assert beside < 100
        assert [post(url) for _ in range(10)] == [1] * 10
        assert process.num_fds() < 400
        # It was let in before, and is idle.
        assert server.client.get("/api/v1/status").status_code == 200
        assert server.client.get("/ready").json() == {"ready": True, "problems": []}
        # The newest ones were left alone.
        half[-1].send(b"y\r\nContent-Length: 21\r\n\r\n" + b'{"message":"at last"}')
        assert json.loads(half[-1].answer().body)["accepted"] == 1
    assert "too many open files" not in server.log_path.read_text().lower()


def test_a_process_without_descriptors_waits_for_some_instead_of_spinning(new_server: Any) -> None:
    server = new_server()
    process = psutil.Process(server.process.pid)
    soft, hard = process.rlimit(psutil.RLIMIT_NOFILE)
    server.client.get("/health").raise_for_status()
    # The limit is one of numbers, and a number that was given back is free below the others.
    used = {int(entry.name) for entry in Path(f"/proc/{process.pid}/fd").iterdir()}
    first_free = next(number for number in itertools.count() if number not in used)
    process.rlimit(psutil.RLIMIT_NOFILE, (first_free, hard))
    address = httpx.URL(server.url)
    with socket.create_connection((address.host, address.port or 80), timeout=20) as waiting:
        waiting.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_until(lambda: "cannot be taken" in server.log_path.read_text())
        used = sum(process.cpu_times()[:2])
        time.sleep(1.5)
        assert sum(process.cpu_times()[:2]) - used < 0.5
        process.rlimit(psutil.RLIMIT_NOFILE, (soft, hard))
        assert waiting.recv(100).startswith(b"HTTP/1.1 200")
    assert server.stop() == 0


@pytest.mark.soak
def test_slow_heads_of_strangers_for_a_minute(new_server: Any, own_address: str) -> None:
    """1500 connections that send a byte of a head now and then, and come again when they are ended."""
    server = new_server("--listen", f"{own_address}:0", LOGRIVER_TRUST_LOOPBACK="true")
    line = server.process.stdout.readline()
    outside = line.split()[-1]
    alone = p50_ms(lambda: health(server.url), 100)
    figures, ends = [], 0
    with many(outside, 1500, b"GET / HTTP/1.1\r\nX: ") as slow:
        began = time.monotonic()
        while time.monotonic() < began + 60:
            for number, client in enumerate(slow):
                if client.waits():
                    client.close()
                    slow[number] = RawClient(outside)
                    slow[number].send(b"GET / HTTP/1.1\r\nX: ")
                    ends += 1
                else:
                    client.send(b"x")
            figures.append(p50_ms(lambda: health(server.url), 20))
            assert post(server.url) == 1
    memory = psutil.Process(server.process.pid).memory_info().rss
    print(f"/health, p50: {alone:.2f} ms alone, {statistics.median(figures):.2f} ms beside 1500 slow heads")
    print(f"{ends} of them ended; {memory / 1e6:.0f} MB resident; pid {os.getpid()}")
    assert ends >= 1500
    assert statistics.median(figures) < 20
