"""Reading: what a line opens to, what marks what, and what is shown while one waits."""

import json
import re
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from logriver import clock
from tests.browser.conftest import send
from tests.conftest import RunningServer

Open = Callable[..., Page]
# Before the first of `records()`, so that other tests do not meet what is sent here among the newest.
OLD_SECONDS = 3_300
BACKGROUND = "element => getComputedStyle(element).backgroundColor"


def test_of_the_lines_around_only_the_line_itself_stands_out(logs: RunningServer, open_page: Open) -> None:
    page = open_page(f"{logs.url}/?q=retry")
    page.locator(".line .cells").first.click()
    page.get_by_role("button", name="lines around").click()
    own = page.locator(".around .this .cells")
    other = page.locator(".around .line:not(.this) .cells").first
    assert own.evaluate(BACKGROUND) != other.evaluate(BACKGROUND)


def test_a_trace_is_read_from_its_beginning(logs: RunningServer, open_page: Open) -> None:
    run, trace = uuid.uuid4().hex, uuid.uuid4().hex
    begin = time.time() - OLD_SECONDS
    later = [{"message": f"step {step}", "trace_id": trace, "timestamp": begin + step // 2} for step in (4, 2, 3)]
    send(logs, [{"message": "step 1", "run": run, "trace_id": trace, "timestamp": begin}, *later])
    page = open_page(f"{logs.url}/?q=run:{run}")
    page.locator(".line .cells").first.click()
    expect(page.locator(".facts")).to_contain_text(re.compile(r"^1 line(?!s)"))
    page.get_by_role("button", name="This trace").click()
    expect(page.locator("#query")).to_have_value(f"trace_id:{trace} | sort timestamp")
    messages = page.locator(".lines > .line .message")
    expect(messages).to_have_text([f"step {step}" for step in (1, 2, 3, 4)])


def test_names_and_values_of_a_record_keep_their_width(logs: RunningServer, open_page: Open) -> None:
    run = uuid.uuid4().hex
    send(logs, [{"message": "x" * 100_000, "run": run, "timestamp": time.time() - OLD_SECONDS, "y" * 300: 1}])
    page = open_page(f"{logs.url}/?q=run:{run}")
    page.locator(".line .cells").first.click()
    name = page.locator(".record th", has_text="timestamp").bounding_box()
    whole = page.locator(".opened").bounding_box()
    table = page.locator(".record").bounding_box()
    assert name
    assert whole
    assert table
    assert name["height"] < 40
    assert table["x"] + table["width"] <= whole["x"] + whole["width"]
    page.get_by_role("button", name="copy run of this line").click()
    assert page.evaluate("navigator.clipboard.readText()") == run


def test_fields_that_are_not_shown_are_told_of(logs: RunningServer, open_page: Open) -> None:
    run = uuid.uuid4().hex
    send(
        logs,
        [
            {
                "message": "many",
                "run": run,
                "timestamp": time.time() - OLD_SECONDS,
                **{f"field{number}": number for number in range(600)},
            }
        ],
    )
    page = open_page(f"{logs.url}/?q=run:{run}")
    page.locator(".line .cells").first.click()
    expect(page.locator(".opened")).to_contain_text("first 500 fields")


def test_records_of_chosen_fields_are_shown_whatever_they_have(logs: RunningServer, open_page: Open) -> None:
    run = uuid.uuid4().hex
    old = clock.to_text(int(time.time() - OLD_SECONDS) * clock.SECOND_NS)
    record = {"message": "twice", "run": run, "timestamp": old, "level": "debug", "service": "chooser", "host": "box"}
    send(logs, [{**record, "n": n} for n in range(2)])
    page = open_page(f"{logs.url}/?q=run:{run} | sort n | fields service")
    rows = page.locator(".lines > .line")
    expect(rows).to_have_text(["chooser", "chooser"])
    shown = {
        "host": ['{"host":"box"}'] * 2,
        "message, n": ['twice {"n":0}', 'twice {"n":1}'],
        "level, service, run": [f'debugchooser{{"run":"{run}"}}'] * 2,
    }
    for fields, texts in shown.items():
        page.fill("#query", f"run:{run} | sort n | fields {fields}")
        page.press("#query", "Enter")
        expect(page.locator(".lines .cells")).to_have_text(texts)
    rows.nth(1).locator(".cells").click()
    expect(page.locator(".opened")).to_have_count(1)
    expect(rows.nth(1).locator(".opened")).to_contain_text(run)
    assert "open=" not in page.url
    rows.nth(1).locator(".cells").click()
    expect(page.locator(".opened")).to_have_count(0)


def test_a_line_without_a_service_names_its_file(
    new_server: Callable[..., RunningServer], open_page: Open, tmp_path: Path
) -> None:
    path = tmp_path / "app.log"
    now = time.time()
    records = [{"timestamp": now - 9, "message": "without"}, {"timestamp": now, "message": "with", "service": "web"}]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    page = open_page(new_server("--follow", str(path)).url)
    columns = page.locator(".lines .column")
    expect(columns).to_have_text(["web", "app.log"])
    expect(columns.nth(1)).to_have_attribute("title", str(path))
    page.get_by_role("link", name="Live").click()
    expect(columns).to_have_text(["app.log", "web"])


def test_a_key_with_dots_is_a_field_like_any_other(logs: RunningServer, open_page: Open) -> None:
    run = uuid.uuid4().hex
    name = "kubernetes.labels.app.kubernetes.io/name"
    record = {"run": run, "timestamp": time.time() - OLD_SECONDS, "tags": ["eu", "prod"]}
    labels = ({"app.kubernetes.io/name": app, "app": "x"} for app in ("auth", "cart"))
    send(logs, [{**record, "message": "labelled", "kubernetes": {"labels": label}} for label in labels])
    page = open_page(f"{logs.url}/?q=run:{run}&columns={name}")
    expect(page.locator(".lines .column")).to_have_text(["cart", "auth"])
    # However long the name is, its share stands in one line.
    shares = page.locator(".fields .field small")
    expect(page.locator(".fields .field", has_text=name)).to_be_visible()
    assert len({share["height"] for share in map(Locator.bounding_box, shares.all()) if share}) == 1
    page.locator(".line .cells").first.click()
    page.locator(".record tr", has=page.get_by_text(name, exact=True)).get_by_role("button").first.click()
    expect(page.locator(".lines .column")).to_have_text(["cart"])
    assert page.locator("#query").input_value() == f"run:{run} `{name}`:cart"


def test_a_text_can_be_selected_without_opening_the_line(logs: RunningServer, open_page: Open) -> None:
    page = open_page(logs.url)
    box = page.locator(".line .message").nth(3).bounding_box()
    assert box
    page.mouse.move(box["x"] + 2, box["y"] + 10)
    page.mouse.down()
    page.mouse.move(box["x"] + 120, box["y"] + 10, steps=4)
    page.mouse.up()
    assert page.evaluate("getSelection().toString()")
    expect(page.locator(".opened")).to_have_count(0)


def test_histogram_and_list_mark_each_other(logs: RunningServer, open_page: Open) -> None:
    page = open_page(logs.url)
    over = page.locator(".histogram .u-over")
    line = page.locator(".line .cells").nth(3)
    line.hover()
    cursor = page.locator(".histogram .u-cursor-x")
    expect(cursor).not_to_have_class(re.compile("u-off"))
    place, box = cursor.bounding_box(), over.bounding_box()
    assert place
    assert box
    assert page.locator(".line.marked").count() == 0
    page.mouse.move(place["x"], box["y"] + 30)
    expect(page.locator(".line.marked").first).to_be_visible()
    expect(page.locator(".histogram .tip")).to_contain_text(re.compile(r": \d+ \("))
    page.mouse.move(box["x"] + 5, box["y"] + 30)
    expect(page.locator(".line.marked")).to_have_count(0)


def test_the_caret_of_a_mistake_stands_free_below_its_place(logs: RunningServer, open_page: Open) -> None:
    open_page.allowed = "status of 400"  # type: ignore[attr-defined]
    page = open_page(f"{logs.url}/?q=" + 'level:error "open')
    box, caret = page.locator("#query").bounding_box(), page.locator("#query-error pre").bounding_box()
    assert box
    assert caret
    assert caret["y"] >= box["y"] + box["height"] + 3
    page.set_viewport_size({"width": 360, "height": 700})
    page.fill("#query", "service:api resourceId:server-1 some more words that need a second line (and")
    page.press("#query", "Enter")
    excerpt = page.locator("#query-error pre")
    expect(excerpt).to_contain_text("second line (and")
    text, mark = excerpt.inner_text().split("\n")
    assert text[mark.index("^")] == "("


def test_keys_work_before_the_list_was_touched(logs: RunningServer, open_page: Open) -> None:
    page = open_page(f"{logs.url}/?q=resourceId:*")
    expect(page.locator(".lines > .line").first).to_be_visible()
    page.keyboard.press("j")
    expect(page.locator(".lines > .line").nth(1)).to_have_class(re.compile("current"))
    page.keyboard.press("o")
    expect(page.locator(".opened")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("i")
    expect(page.locator("#query")).to_have_value(re.compile(" level:"))


def test_a_field_with_the_focus_is_filtered_by_key(logs: RunningServer, open_page: Open) -> None:
    page = open_page(f"{logs.url}/?q=retry")
    page.locator(".line .cells").first.click()
    field = page.locator(".record tr", has_text="service")
    service = field.locator("td").first.inner_text()
    field.locator("th").click()
    expect(field).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("k")
    expect(field).to_be_focused()
    page.keyboard.press("x")
    expect(page.locator("#query")).to_have_value(f"retry -service:{service}")
    page.wait_for_load_state("networkidle")
    page.locator(".line .cells").first.click()
    page.get_by_role("button", name="only resourceId of this line").focus()
    page.keyboard.press("i")
    expect(page.locator("#query")).to_have_value(re.compile(r" resourceId:server-\d+$"))
    page.locator(".line .cells").first.click()
    page.get_by_role("button", name="copy resourceId of this line").focus()
    page.keyboard.press("Escape")
    expect(page.locator(".opened")).to_have_count(0)
    expect(page.locator(".list")).to_be_focused()


def test_the_key_of_the_range_leads_into_it_and_back(logs: RunningServer, open_page: Open) -> None:
    page = open_page(logs.url)
    page.keyboard.press("t")
    expect(page.get_by_role("button", name="last hour").last).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.locator("#range")).to_be_focused()
    page.keyboard.press("t")
    expect(page.get_by_role("button", name="last hour").last).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("from=6h"))


def test_a_slow_answer_is_said_and_can_be_cancelled(logs: RunningServer, open_page: Open) -> None:
    page = open_page(logs.url)
    expect(page.locator(".lines > .line").first).to_be_visible()
    page.route("**/api/v1/search?*", lambda _: None)
    page.fill("#query", "retry")
    page.press("#query", "Enter")
    expect(page.locator(".facts .busy")).to_contain_text("searching, 1 s")
    expect(page.locator(".list")).to_have_class(re.compile("dimmed"))
    expect(page.locator(".lines > .line").first).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(".facts")).to_contain_text("cancelled")
    expect(page.get_by_role("button", name="Search")).to_be_visible()
    expect(page.locator(".facts .busy")).to_have_count(0)


def first_seen(page: Page) -> object:
    """The line at the upper edge of the list."""
    return page.evaluate("""() => {
        const list = document.querySelector(".list"), edge = list.getBoundingClientRect().top + 12;
        const lines = [...list.querySelectorAll(".lines > .line")];
        return lines.find((line) => line.getBoundingClientRect().bottom > edge).dataset.id;
    }""")


def test_who_comes_back_finds_the_place(logs: RunningServer, open_page: Open) -> None:
    page = open_page(f"{logs.url}/?q=resourceId:*")
    expect(page.locator(".lines > .line").first).to_be_visible()
    for _ in range(2):
        page.eval_on_selector(".list", "list => list.scrollTo(0, list.scrollHeight)")
        page.wait_for_timeout(500)
    page.eval_on_selector(".list", "list => list.scrollTo(0, 3001)")
    page.wait_for_timeout(200)
    place = first_seen(page)
    held = page.locator(".lines > .line").count()
    page.fill("#query", "retry")
    page.press("#query", "Enter")
    expect(page.locator(".line mark").first).to_be_visible()
    page.get_by_role("link", name="Status").click()
    expect(page.locator(".tiles")).to_be_visible()
    page.go_back()
    expect(page.locator(".line mark").first).to_be_visible()
    page.go_back()
    expect(page.locator("#query")).to_have_value("resourceId:*")
    expect(page.locator(".lines > .line")).to_have_count(held)
    assert first_seen(page) == place
    expect(page.locator(".list")).not_to_have_class(re.compile("dimmed"))
    page.eval_on_selector(".list", "list => list.scrollTo(0, list.scrollHeight)")
    expect(page.locator(".lines > .line")).not_to_have_count(held)


def test_another_range_keeps_the_line_that_is_read(logs: RunningServer, open_page: Open) -> None:
    page = open_page(f"{logs.url}/?q=resourceId:*")
    expect(page.locator(".lines > .line").first).to_be_visible()
    page.locator(".line .cells").nth(40).click()
    page.eval_on_selector(".list", "list => list.scrollTo(0, 700)")
    page.wait_for_timeout(200)
    place = first_seen(page)
    page.click("#range")
    page.get_by_role("button", name="last 6 hours").click()
    page.wait_for_url(re.compile("from=6h"))
    expect(page.locator(".list")).not_to_have_class(re.compile("dimmed"))
    assert first_seen(page) == place
    expect(page.locator(".opened")).to_be_visible()


def test_a_time_that_the_row_has_shown_steps_back(logs: RunningServer, open_page: Open) -> None:
    run = uuid.uuid4().hex
    old = clock.to_text(int(time.time() - OLD_SECONDS) * clock.SECOND_NS)
    clock_time = old[11:19]
    messages = [
        (f"[{old[:10]} {clock_time},123 +0000] WARN disk full", f"[{old[:10]} {clock_time},123 +0000]"),
        (f"Sep  1 {clock_time} host app: x", f"Sep  1 {clock_time}"),
        (f"{old[:10].replace('-', '/')} {clock_time} x", f"{old[:10].replace('-', '/')} {clock_time}"),
        (f"[Sun Dec 04 {clock_time} 2005] x", f"[Sun Dec 04 {clock_time}"),
        (f"{clock_time}.5 x", f"{clock_time}.5"),
        (f"{clock_time}:1e is a MAC", ""),
        (f"10.0.0.1 - - [29/Nov/2023:{clock_time} +0000]", ""),
        (f"job 12 at {clock_time}", ""),
        (f"started at {clock_time}", ""),
        ("no time at all", ""),
    ]
    send(logs, [{"message": message, "run": run, "timestamp": old, "n": n} for n, (message, _) in enumerate(messages)])
    page = open_page(f"{logs.url}/?q=run:{run}+|+sort+n")
    expect(page.locator(".lines > .line")).to_have_count(len(messages))
    for row, (message, time_text) in zip(page.locator(".lines > .line").all(), messages, strict=True):
        assert row.locator(".message").text_content() == message
        assert "".join(row.locator(".again").all_text_contents()) == time_text
