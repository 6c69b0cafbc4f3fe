"""The view of followed files: what is committed of each incarnation, what is lost, and how far behind they are."""

import gzip
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.api.test_sources import wait_until_held
from tests.conftest import RunningServer

Open = Callable[..., Page]


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningServer, Path]]:
    """A server with a file that lost bytes, one in trouble, and one with a hostile name."""
    logs = tmp_path_factory.mktemp("page") / "logs"
    logs.mkdir()
    path, hostile = logs / "app.log", logs / "<img src=x onerror=alert(1)> very long name.log"
    path.write_text("one\n" * 25)
    hostile.write_text("hostile\n")
    server = RunningServer(
        logs.parent / "data", "--follow", str(logs), "--follow", str(logs / "none"), "--name", "web1"
    )
    wait_until_held(server, path, hostile)
    server.kill()
    with path.open("a") as file:
        file.write("nobody reads this\n")
    # What has these bytes is cut off: they are known to be gone.
    Path(f"{path}.1.gz").write_bytes(gzip.compress(path.read_bytes())[:-1])
    os.truncate(path, 0)
    path.write_text("two\n" * 30)
    server.start()
    wait_until_held(server, path)
    yield server, logs
    assert server.stop() == 0


def test_incarnations_say_what_is_committed_and_what_is_lost(
    followed: tuple[RunningServer, Path], open_page: Open
) -> None:
    server, logs = followed
    page = open_page(f"{server.url}/?view=sources")
    row = page.locator(".figures tbody tr", has_text="app.log")
    expect(row).to_contain_text("web1")
    expect(row).to_contain_text("not known how many")
    row.get_by_text("2 incarnations").click()
    incarnations = row.locator(".incarnations li")
    expect(incarnations).to_have_count(2)
    expect(incarnations.nth(0)).to_contain_text("followed")
    expect(incarnations.nth(1)).to_contain_text("truncated")
    expect(incarnations.nth(1)).to_contain_text("from byte 100 on lost")
    expect(incarnations.nth(0).get_by_role("img")).to_have_attribute("aria-label", "committed: 0 B to 120 B, of 120 B")
    expect(row).to_contain_text("55 records can be found")
    # It stays open when the figures come anew.
    with (logs / "app.log").open("a") as file:
        file.write("more\n")
    expect(incarnations.nth(0)).to_contain_text("125 B committed", timeout=30_000)
    row.get_by_title("its lines").click()
    expect(page).to_have_url(re.compile("_source"))


def test_a_part_of_the_path_finds_files_and_trouble_is_said(
    followed: tuple[RunningServer, Path], open_page: Open
) -> None:
    page = open_page(f"{followed[0].url}/?view=sources")
    rows = page.locator(".figures tbody tr")
    expect(rows).to_have_count(3)
    expect(page.locator("tr", has_text="no such file yet").locator(".wrong")).to_have_count(1)
    page.get_by_label("Find a file").fill("<img")
    expect(rows).to_have_count(1)
    expect(rows.first).to_contain_text("<img src=x onerror=alert(1)>")
    page.get_by_label("Find a file").fill("nothing has this")
    expect(page.get_by_text("No followed file has that in its path")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_for_everybody_and_for_small_screens(
    followed: tuple[RunningServer, Path], open_page: Open, scheme: str
) -> None:
    page = open_page(f"{followed[0].url}/?view=sources", width=360, height=700, color_scheme=scheme, bypass_csp=True)
    page.get_by_text("2 incarnations").click()
    expect(page.locator(".incarnations li")).to_have_count(2)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    found = Axe().run(page).response["violations"]
    serious = [violation["id"] for violation in found if violation["impact"] in ("serious", "critical")]
    assert not serious, json.dumps(found, indent=1)
