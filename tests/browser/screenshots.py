"""`make screenshots`: the main views, light, dark and narrow, as pictures in `docs/images/`."""

import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from tests.browser.conftest import records, send
from tests.conftest import RunningServer

FOLDER = Path(__file__).parents[2] / "docs" / "images"
STATISTICS = "* | stats count() as requests, p99(latency_ms) as slow by service, bin(5m)"
VIEWS = {
    "explore": "/?q=level:error",
    "statistics": f"/?q={STATISTICS}",
    "patterns": "/?view=patterns",
    "status": "/?view=status",
}
SIZES = {"": (1280, 800), "narrow": (360, 740)}
SETTLE_MS = 1_500


def shoot(page: Page, address: str, name: str) -> None:
    """One picture, once the view has settled."""
    page.goto(address)
    page.wait_for_timeout(SETTLE_MS)
    if name.startswith("explore"):
        page.locator(".line .cells").nth(2).click()
        page.wait_for_timeout(SETTLE_MS // 3)
    page.screenshot(path=FOLDER / f"{name}.png")


def main() -> None:
    """Make all pictures anew."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        server = RunningServer(Path(folder) / "data")
        send(server, records())
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for scheme in ("light", "dark"):
            for size, (width, height) in SIZES.items():
                context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
                page = context.new_page()
                for view, address in VIEWS.items():
                    name = "-".join(filter(None, (view, scheme, size)))
                    shoot(page, f"{server.url}{address}", name)
                context.close()
        browser.close()
        server.stop()


if __name__ == "__main__":
    main()
