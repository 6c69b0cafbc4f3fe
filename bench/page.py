"""The page on 10 M logs in Debian's Chromium: from the address to the first paint, and until it can be used.

Each visit is a browser's first: nothing is in its cache. The page can be used when the records of the whole range are
listed and the histogram over all of them is drawn; the box for the query is there before.
"""

import shutil
import statistics
from urllib.parse import urlencode

from playwright.sync_api import Browser, sync_playwright

from bench.bulk import wait_for_merges
from bench.figures import Figure, Measurement, Values, Workload
from bench.queries import copy_data, kept_data
from bench.server_process import ServerProcess

VISITS = 10
_RANGE = urlencode({"from": "2023-09-15T00:00:00Z", "to": "2023-09-16T00:00:00Z"})
_WATCH = """
addEventListener("DOMContentLoaded", () => {
  const look = () => {
    const drawn = document.querySelector(".lines > .line") && document.querySelector("canvas");
    if (!drawn) return;
    window.usableMs = performance.now();
    observer.disconnect();
  };
  const observer = new MutationObserver(look);
  observer.observe(document, { childList: true, subtree: true });
});
"""
_PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime"

FIGURES = {
    "paint": Figure("first paint", "ms", at_most=1_000),
    "usable": Figure("records listed, histogram of all 10 M drawn", "ms", at_most=1_500),
    "paint_slowest": Figure("first paint, slowest of ten visits", "ms"),
    "usable_slowest": Figure("records and histogram, slowest of ten visits", "ms"),
}


def measure(workload: Workload) -> Values:
    """One run."""
    copy_data(kept_data(workload), workload.folder / "data")
    visits = []
    with ServerProcess(workload.folder, keep=True) as server, sync_playwright() as playwright:
        wait_for_merges(server)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        visits = [_visit(browser, f"http://{server.host}:{server.port}/?{_RANGE}") for _ in range(VISITS)]
        browser.close()
    shutil.rmtree(workload.folder / "data")
    paints, usable = zip(*visits, strict=True)
    return {
        "paint": statistics.median(paints),
        "usable": statistics.median(usable),
        "paint_slowest": max(paints),
        "usable_slowest": max(usable),
    }


def _visit(browser: Browser, address: str) -> tuple[float, float]:
    """Milliseconds to the first paint, and until the page can be used."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    try:
        page = context.new_page()
        page.add_init_script(_WATCH)
        page.goto(address)
        for shown in (".lines > .line", "canvas"):
            page.locator(shown).first.wait_for()
        return float(page.evaluate(_PAINT)), float(page.evaluate("window.usableMs"))
    finally:
        context.close()


MEASUREMENT = Measurement("page", "The page on 10 M logs", FIGURES, measure)
