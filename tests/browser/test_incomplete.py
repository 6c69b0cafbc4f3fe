"""An answer that is without a damaged part: the page says so quietly, and leads to what is known of it."""

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.conftest import RunningServer
from tests.store.part_files import parts


def test_it_is_said_beside_the_answer(new_server: Callable[..., RunningServer], open_page: Callable[..., Page]) -> None:
    server = new_server()
    for text in ("one", "two"):
        server.client.post("/api/v1/logs?wait=searchable", json={"message": text}).raise_for_status()
    assert server.stop() == 0
    part: Path = parts(server.data / "store")[0]
    (part / "data.bin").unlink()
    server.start()
    page = open_page(f"{server.url}/?q=")
    said = page.get_by_role("link", name="incomplete")
    expect(said).to_have_attribute("title", "1 damaged part with 1 record is set aside")
    said.click()
    expect(page.locator(".problems")).to_contain_text(part.name)
