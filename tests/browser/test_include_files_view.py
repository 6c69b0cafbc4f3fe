"""The switch "include files": lines of files of a server and of a real agent, beside the stored ones."""

import json
import re
import time
from collections.abc import Callable, Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.conftest import RunningServer
from tests.running_agent import RunningAgent

Open = Callable[..., Page]
HOSTILE = "2026-01-01 00:00:01Z ERROR <img src=x onerror=alert(1)> timeout here"


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with one stored line, and an agent; each has a file that nobody follows."""
    directory = tmp_path_factory.mktemp("page")
    for name in ("primary", "web-1"):
        (directory / name).mkdir()
        (directory / name / "app.log").write_text(f"2026-01-01 00:00:00Z WARN timeout on {name}\n{HOSTILE}\n")
    server = RunningServer(directory / "data", "--name", "primary", "--files-root", str(directory / "primary"))
    own = ("--server", server.url, "--name", "web-1", "--files-root", str(directory / "web-1"))
    agent = RunningAgent(directory / "web-1.log", *own)
    server.client.post("/api/v1/logs?wait=searchable", json={"message": "stored timeout"}).raise_for_status()
    wait_until_connected(server)
    yield server
    agent.stop()
    assert server.stop() == 0


def wait_until_connected(server: RunningServer) -> None:
    deadline = time.monotonic() + 60
    while not any(agent["connected"] for agent in server.client.get("/api/v1/agents").json()["agents"]):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_switch_shows_lines_of_files_beside_the_stored_ones(machines: RunningServer, open_page: Open) -> None:
    page = open_page(f"{machines.url}/?q=timeout&from=")
    expect(page.get_by_role("grid", name="lines, newest first").locator(".line")).to_have_count(1)
    page.get_by_role("button", name="include files").click()
    expect(page).to_have_url(re.compile("files=1"))

    files = page.get_by_role("grid", name="lines of files, newest first")
    expect(files.locator(".line")).to_have_count(4)
    expect(page.get_by_role("region", name="from files").get_by_role("status")).to_contain_text("2 files read")
    expect(files.locator(".line").first).to_contain_text("<img src=x onerror=alert(1)>")
    places = [line.inner_text() for line in files.locator(".line").all()]
    assert sum("primary" in place for place in places) >= 2
    assert sum("web-1" in place for place in places) >= 2

    # Of the path its end is seen, and the stored lines are one step away.
    path = files.locator(".column.path").first
    text, cell = path.locator("bdi").bounding_box(), path.bounding_box()
    assert text
    assert cell
    assert text["x"] < cell["x"]
    assert abs(text["x"] + text["width"] - cell["x"] - cell["width"]) < 2
    page.get_by_role("button", name="to the stored lines below").click()
    expect(page.get_by_role("grid", name="lines, newest first")).to_be_focused()

    files.press("Enter")
    opened = files.locator(".opened")
    expect(opened).to_contain_text("app.log")
    expect(opened.get_by_role("button", name="lines around")).to_have_count(0)
    page.get_by_role("button", name="include files").click()
    expect(files).to_have_count(0)


def test_what_files_cannot_be_asked_is_said(machines: RunningServer, open_page: Open) -> None:
    open_page.allowed = "400"  # type: ignore[attr-defined]
    page = open_page(f"{machines.url}/?q=timeout | sort level&from=&files=1")
    expect(page.get_by_role("region", name="from files")).to_contain_text("no pipe but 'limit' and 'fields'")


@pytest.mark.parametrize("width", [360, 1280])
def test_it_fits_and_can_be_read_to_whoever_does_not_see_it(
    machines: RunningServer, open_page: Open, width: int
) -> None:
    page = open_page(f"{machines.url}/?q=timeout&from=&files=1", width=width)
    expect(page.get_by_role("grid", name="lines of files, newest first").locator(".line")).to_have_count(4)

    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = Axe().run(page).response["violations"]
    serious = [violation["id"] for violation in found if violation["impact"] in ("serious", "critical")]
    assert not serious, json.dumps(found, indent=1)


def test_a_search_can_be_cancelled(machines: RunningServer, open_page: Open) -> None:
    page = open_page(f"{machines.url}/")
    # An answer that never ends.
    page.route("**/api/v1/files/search*", lambda route: None)
    page.get_by_role("button", name="include files").click()
    panel = page.get_by_role("region", name="from files")
    panel.get_by_role("button", name="cancel").click()
    expect(panel.get_by_role("status")).to_have_text("cancelled")
    expect(panel.get_by_role("button", name="cancel")).to_have_count(0)
