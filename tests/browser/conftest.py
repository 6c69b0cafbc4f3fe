"""A real browser (Debian's Chromium) on a real server with logs whose counts are known."""

import json
import random
import re
import shutil
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from tests.conftest import RunningServer

# Tests of the rest of the suite run beside.
expect.set_options(timeout=20_000)

COUNT = 3_000
SPAN_SECONDS = 3_000
_MESSAGES = (
    "Failed to connect to DB orders-{a}: refused after {n} ms",
    "GET /api/v1/resource{a}/{n} took 12 ms",
    "retry {a} of 31 for upstream payments-{n}",
    "user {n} logged in from 10.0.0.{a}",
)


def records() -> list[dict[str, Any]]:
    """Logs of the last fifty minutes, oldest first, the same every time but for the times."""
    draw = random.Random(5)
    start = time.time() - SPAN_SECONDS - 60
    made = []
    for number in range(COUNT):
        level = ("info", "info", "info", "warn", "error")[number % 5]
        at = datetime.fromtimestamp(start + number * SPAN_SECONDS / COUNT, UTC)
        message = _MESSAGES[number % len(_MESSAGES)].format(a=number % 7, n=draw.randrange(900))
        made.append(
            {
                "timestamp": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                "level": level,
                "message": message,
                "service": ("api", "web", "db")[number % 3],
                "resourceId": f"server-{number % 20}",
                "traceId": f"{number // 3:032x}",
                "latency_ms": number % 500,
                "metadata": {"region": ("eu", "us")[number % 2], "status": (200, 200, 404, 500)[number % 4]},
            }
        )
    return made


def send(server: RunningServer, sent: list[dict[str, Any]]) -> None:
    """Store records and wait until they can be found."""
    body = "\n".join(map(json.dumps, sent))
    answer = server.client.post("/api/v1/logs", params={"wait": "searchable"}, content=body)
    assert answer.json()["accepted"] == len(sent), answer.text


# Of a module, because Playwright's loop counts as running in this thread, where other tests run loops of their own.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = shutil.which("chromium")
    assert path, "Debian's chromium is needed: make debian"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with `records()`. Tests that add to it use a field of their own."""
    running = RunningServer(tmp_path_factory.mktemp("page") / "data")
    send(running, records())
    yield running
    assert running.stop() == 0


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens an address in a window of its own. An error in its console fails the test."""
    errors: list[str] = []
    contexts = []

    def heard(message: ConsoleMessage) -> None:
        if message.type == "error":
            errors.append(message.text)

    def opened(address: str, width: int = 1280, height: int = 800, **options: Any) -> Page:
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        page = context.new_page()
        page.on("console", heard)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.set_default_timeout(20_000)
        page.goto(address)
        return page

    opened.allowed = "(?!)"  # type: ignore[attr-defined]
    yield opened
    for context in contexts:
        context.close()
    # What a test expects to fail is an error to the console too.
    assert not [error for error in errors if not re.search(opened.allowed, error)]  # type: ignore[attr-defined]
