"""The other views: live, patterns, sources, status, the login form, the first visit."""

import json
import re
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import COUNT, send
from tests.conftest import RunningServer

Open = Callable[..., Page]


def test_live_follows_pauses_and_resumes(logs: RunningServer, open_page: Open) -> None:
    page = open_page(f"{logs.url}/?view=live&q=livetest")
    expect(page.locator(".list")).to_contain_text("Waiting for new lines")
    for number in range(60):
        send(logs, [{"message": f"livetest {number}"}])
        if number == 0:
            expect(page.locator(".lines > .line").first).to_contain_text("livetest 0")
    rows = page.locator(".lines > .line")
    expect(rows).to_have_count(60)
    expect(rows.last).to_be_in_viewport()
    page.locator(".list").hover()
    page.mouse.wheel(0, -600)
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    send(logs, [{"message": "livetest last"}])
    expect(page.locator(".facts")).to_contain_text("1 new")
    expect(rows).to_have_count(60)
    page.get_by_role("button", name="Resume").click()
    expect(rows).to_have_count(61)
    expect(rows.last).to_be_in_viewport()
    shown = [row.split("livetest ")[1] for row in page.locator(".lines .message").all_inner_texts()]
    assert shown == [*map(str, range(60)), "last"]


def test_live_comes_back_after_a_restart_without_a_gap(
    new_server: Callable[..., RunningServer], open_page: Open
) -> None:
    server = new_server()
    port = server.url.rpartition(":")[2]
    send(server, [{"message": "before"}])
    open_page.allowed = "ERR_|status of"  # type: ignore[attr-defined]
    page = open_page(f"{server.url}/?view=live")
    expect(page.locator(".lines > .line")).to_have_count(1)
    send(server, [{"message": "one"}])
    expect(page.locator(".lines > .line")).to_have_count(2)
    server.stop()
    expect(page.locator(".facts")).to_contain_text("connection lost")
    server._arguments = ("--listen", f"127.0.0.1:{port}")
    server.start()
    server.client.base_url = f"http://127.0.0.1:{port}"
    send(server, [{"message": "two"}])
    expect(page.locator(".lines > .line")).to_have_count(3, timeout=30_000)


def test_live_begins_with_the_newest_lines_and_goes_on_behind_them(logs: RunningServer, open_page: Open) -> None:
    run = uuid.uuid4().hex
    send(logs, [{"message": f"line {number}", "run": run, "level": "debug"} for number in range(60)])
    page = open_page("about:blank")

    # What comes between the page of lines and the stream behind it is neither lost nor shown twice.
    def between(route: Route) -> None:
        send(logs, [{"message": "line 60", "run": run}])
        route.continue_()

    page.route("**/api/v1/tail?*", between, times=1)
    page.goto(f"{logs.url}/?view=live&q=run:{run}")
    expect(page.locator(".lines > .line")).to_have_count(51)
    shown = page.locator(".lines .message").all_inner_texts()
    assert shown == [f"line {number}" for number in range(10, 61)]
    expect(page.locator(".lines > .line").last).to_be_in_viewport()


def test_live_shows_records_of_chosen_fields(logs: RunningServer, open_page: Open) -> None:
    run = uuid.uuid4().hex
    send(logs, [{"message": f"line {number}", "run": run} for number in range(2)])
    page = open_page(f"{logs.url}/?view=live&q=run:{run} | fields message")
    cells = page.locator(".lines .cells")
    expect(cells).to_have_text(["line 0", "line 1"])
    send(logs, [{"message": "line 2", "run": run}])
    expect(cells).to_have_text(["line 0", "line 1", "line 2"])
    cells.nth(1).click()
    expect(page.locator(".lines > .line").nth(1)).to_have_class(re.compile("open current"))
    expect(page.locator(".opened")).to_have_count(1)


def test_live_takes_the_keys_of_a_list(logs: RunningServer, open_page: Open) -> None:
    run = uuid.uuid4().hex
    send(logs, [{"message": f"line {number}", "run": run, "level": "debug"} for number in range(4)])
    page = open_page(f"{logs.url}/?view=live&q=run:{run}")
    rows = page.locator(".lines > .line")
    expect(rows).to_have_count(4)
    expect(rows.last).to_have_class(re.compile("current"))
    page.keyboard.press("k")
    page.keyboard.press("ArrowUp")
    expect(rows.nth(1)).to_have_class(re.compile("current"))
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    page.keyboard.press("o")
    expect(rows.nth(1).locator(".opened")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".opened")).to_have_count(0)
    page.keyboard.press("x")
    expect(page.locator("#query")).to_have_value(re.compile("-level:debug$"))


def test_a_flood_is_sampled_and_bounded(logs: RunningServer, open_page: Open) -> None:
    page = open_page(f"{logs.url}/?view=live&q=flood")
    stop = threading.Event()

    def flood() -> None:
        number = 0
        while not stop.is_set():
            lines = "\n".join(json.dumps({"message": f"flood {number + i}"}) for i in range(500))
            logs.client.post("/api/v1/logs", content=lines)
            number += 500
            stop.wait(0.2)

    time.sleep(1)
    sender = threading.Thread(target=flood)
    sender.start()
    try:
        expect(page.locator(".facts")).to_contain_text("one of", timeout=15_000)
        page.wait_for_timeout(6_000)
        assert page.locator(".lines > .line").count() <= 1_000
        rate = float(page.locator(".facts strong").inner_text().replace(",", ""))
        assert rate > 500
    finally:
        stop.set()
        sender.join()


def test_the_first_visit_teaches_and_takes_lines(new_server: Callable[..., RunningServer], open_page: Open) -> None:
    server = new_server()
    page = open_page(server.url)
    expect(page.get_by_role("heading", name="No logs yet")).to_be_visible()
    expect(page.locator(".welcome")).to_contain_text("logriver send")
    page.get_by_label("Paste lines or JSON").fill('first line\nsecond "line"')
    page.get_by_role("button", name="Send").click()
    expect(page.locator(".lines > .line")).to_have_count(2)
    expect(page.locator(".lines")).to_contain_text('second "line"')


def test_the_first_visit_takes_json_over_several_lines(
    new_server: Callable[..., RunningServer], open_page: Open
) -> None:
    page = open_page(new_server().url)
    page.get_by_label("Paste lines or JSON").fill('[\n  {"message": "first"},\n  {"message": "second"}\n]')
    page.get_by_role("button", name="Send").click()
    expect(page.locator(".lines > .line")).to_have_count(2)


def test_the_first_visit_takes_a_file(
    new_server: Callable[..., RunningServer], open_page: Open, tmp_path: Path
) -> None:
    path = tmp_path / "some.log"
    path.write_text("".join(f"[2024-09-14T16:15:3{number}Z] ERROR line {number}\n" for number in range(5)))
    server = new_server()
    page = open_page(server.url, width=360, height=740)
    expect(page.get_by_role("button", name="Send")).to_be_disabled()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    # Dropped beside the box: the browser does not leave the page for it.
    assert not page.locator(".welcome h1").evaluate("""heading => {
        const dataTransfer = new DataTransfer();
        dataTransfer.items.add(new File([""], "empty.log"));
        return heading.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
    }""")
    page.get_by_label("or a file").set_input_files(path)
    expect(page.locator(".lines > .line")).to_have_count(5)
    # The lines are of their time, whatever the range was, and have their level.
    found = server.search(q="level:error", order="asc")
    assert [row["timestamp"] for row in found] == [f"2024-09-14T16:15:3{number}Z" for number in range(5)]


def test_a_token_is_asked_for_and_then_all_works(
    new_server: Callable[..., RunningServer], open_page: Open, tmp_path: Path
) -> None:
    server = new_server(LOGRIVER_TOKEN="the right one", LOGRIVER_TRUST_LOOPBACK="true")
    send(server, [{"message": "behind the token"}])
    # Another name of this machine: not the one that needs no token.
    address = server.url.replace("127.0.0.1", "machine.localhost")
    open_page.allowed = "status of 40[13]"  # type: ignore[attr-defined]
    page = open_page(f"{address}/?q=behind")
    page.get_by_label("Token").fill("the wrong one")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_text("wrong token")).to_be_visible()
    page.get_by_label("Token").fill("the right one")
    page.get_by_role("button", name="Log in").click()
    expect(page.locator(".lines > .line")).to_have_count(1)
    assert "q=behind" in page.url


def test_sources_show_what_is_held(new_server: Callable[..., RunningServer], open_page: Open, tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_text('{"message":"from a file"}\n' * 20)
    server = new_server("--follow", str(path))
    page = open_page(f"{server.url}/?view=sources")
    row = page.locator(".figures tbody tr")
    expect(row).to_contain_text("app.log", timeout=15_000)
    expect(row).to_contain_text(f"{path.stat().st_size} B")
    row.get_by_role("button").click()
    expect(page.locator(".lines > .line")).to_have_count(20)


def test_status_and_dead_letters(new_server: Callable[..., RunningServer], open_page: Open, tmp_path: Path) -> None:
    path = tmp_path / "requests.log"
    path.write_text("2024-09-14 16:15:35 cust_5 /api/v1/resource4 200 0.772\nthis is none of them <b>bold</b>\n")
    server = new_server("--follow", f"api_requests={path}")
    open_page.allowed = "status of 4"  # type: ignore[attr-defined]
    page = open_page(f"{server.url}/?view=status")
    letter = page.locator(".dead-letters li")
    expect(letter).to_contain_text("<b>bold</b>", timeout=15_000)
    tiles = page.locator(".tiles")
    tiles.get_by_role("link", name="1", exact=True).nth(1).click()
    expect(page).to_have_url(re.compile("view=status#dead-letters"))
    letter.get_by_role("button", name="Replay").click()
    expect(letter.get_by_role("status")).not_to_be_empty()


def test_the_numbers_of_the_header_and_of_the_status_lead_somewhere(logs: RunningServer, open_page: Open) -> None:
    page = open_page(f"{logs.url}/?q=level:error&from=5m")
    page.get_by_role("link", name=re.compile("^[0-9,]+ logs$")).click()
    expect(page).to_have_url(f"{logs.url}/?from=")
    expect(page.locator("#query")).to_have_value("")
    page.get_by_role("link", name=re.compile("waiting$")).click()
    tiles = page.locator(".tiles div")
    tiles.filter(has=page.get_by_text("Stored", exact=True)).get_by_role("link").click()
    expect(page).to_have_url(f"{logs.url}/?from=")
    page.go_back()
    tiles.filter(has=page.get_by_text("Accepted", exact=True)).get_by_role("link").click()
    expect(page).to_have_url(re.compile("view=live"))
    page.go_back()
    tiles.filter(has=page.get_by_text("Removed", exact=True)).get_by_role("link").click()
    expect(page).to_have_url(re.compile("view=sources"))


def test_the_patterns_view(logs: RunningServer, open_page: Open) -> None:
    page = open_page(f"{logs.url}/?view=patterns&q=level:error")
    expect(page.locator(".patterns li").first).to_be_visible()
    counts = [int(text.replace(",", "")) for text in page.locator(".pattern .number").all_inner_texts()]
    assert sum(counts) == COUNT // 5


def test_patterns_say_what_is_wrong_and_can_be_cancelled(logs: RunningServer, open_page: Open) -> None:
    open_page.allowed = "status of 400"  # type: ignore[attr-defined]
    page = open_page(f"{logs.url}/?view=patterns&q=" + 'level:error "open')
    expect(page.locator("#query-error")).to_contain_text("quote")
    page.route("**/api/v1/patterns?*", lambda _: None)
    page.fill("#query", "retry")
    page.press("#query", "Enter")
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("button", name="Search")).to_be_visible()


def test_the_theme_can_be_chosen_and_is_kept(logs: RunningServer, open_page: Open) -> None:
    page = open_page(logs.url, color_scheme="light")
    back = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(back)
    page.get_by_role("button", name="system").click()
    page.get_by_role("button", name="light").click()
    expect(page.locator("body")).not_to_have_css("background-color", light)
    dark = page.evaluate(back)
    page.reload()
    assert page.evaluate(back) == dark


def test_a_lost_server_is_said_and_found_again(new_server: Callable[..., RunningServer], open_page: Open) -> None:
    server = new_server()
    send(server, [{"message": "here"}])
    port = server.url.rpartition(":")[2]
    open_page.allowed = "ERR_|status of"  # type: ignore[attr-defined]
    page = open_page(server.url)
    expect(page.locator(".lines > .line")).to_have_count(1)
    server.stop()
    expect(page.locator(".banner")).to_contain_text("does not answer")
    expect(page.locator(".lines > .line")).to_have_count(1)
    server._arguments = ("--listen", f"127.0.0.1:{port}")
    server.start()
    expect(page.locator(".banner")).to_have_count(0, timeout=15_000)


def test_a_bookmark_of_the_api_works(logs: RunningServer, open_page: Open) -> None:
    page = open_page(f"{logs.url}/?query=retry&start=2h")
    expect(page.locator("#query")).to_have_value("retry")
    expect(page.locator(".facts strong")).to_have_text(re.compile("7"))


def test_the_slowest_customers_failed_requests_are_found_by_clicks(
    new_server: Callable[..., RunningServer], open_page: Open
) -> None:
    """As in the demo, without typing: see docs/reference/page.md."""
    server = new_server()
    now = time.time()
    requests = [
        {
            "timestamp": now - number,
            "customer": f"cust_{number % 3}",
            "status": (200, 404, 500)[number % 7 % 3],
            "latency_seconds": 0.1 + number % 3,
            "message": f"request {number}",
        }
        for number in range(500)
    ]
    send(server, requests)
    page = open_page(server.url)
    page.get_by_role("button", name="last hour").click()
    page.get_by_role("button", name="last 10 min").click()
    page.get_by_role("button", name="slowest customers").click()
    page.get_by_title("its lines with status:>=400").first.click()
    expect(page.locator("#query")).to_have_value(re.compile("customer:cust_2"))
    expect(page.locator("#query")).to_have_value(re.compile("status:>=400"))
    failed = sum(one["customer"] == "cust_2" and one["status"] in (404, 500) for one in requests)
    expect(page.locator(".facts strong")).to_have_text(str(failed))
    expect(page.locator(".lines > .line").first).to_be_visible()
