"""The explorer, driven as a user would: type, click, drag, scroll, keys, reload, back."""

import json
import re
import uuid
from collections.abc import Callable
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import COUNT, send
from tests.conftest import RunningServer

Open = Callable[..., Page]


def ask(page: Page, text: str) -> None:
    page.fill("#query", text)
    page.press("#query", "Enter")
    page.wait_for_load_state("networkidle")


def changed(page: Page, before: int) -> int:
    """How many lines are found once that are others than `before`."""
    found = page.locator(".facts strong")
    expect(found).not_to_have_text(f"{before:,}")
    return int(found.inner_text().replace(",", ""))


def test_the_first_look_shows_the_last_hour(logs: RunningServer, open_page: Open) -> None:
    page = open_page(logs.url)
    expect(page.locator(".lines > .line").first).to_be_visible()
    expect(page.locator(".facts strong")).to_have_text(re.compile("3,0"))
    expect(page.locator(".histogram canvas")).to_be_visible()
    expect(page.locator(".fields")).to_contain_text("resourceId")
    expect(page.locator(".counts")).to_contain_text("logs")


def test_a_typed_question_is_answered_and_marked(logs: RunningServer, open_page: Open) -> None:
    page = open_page(logs.url)
    ask(page, 'level:error "failed to connect"')
    expect(page.locator(".facts strong")).to_have_text("150")
    assert "level%3Aerror" in page.url
    expect(page.locator(".line mark").first).to_have_text("Failed to connect")
    page.go_back()
    expect(page.locator("#query")).to_have_value("")
    expect(page.locator(".facts strong")).to_have_text(re.compile("3,0"))
    page.go_forward()
    expect(page.locator("#query")).to_have_value('level:error "failed to connect"')
    page.reload()
    expect(page.locator(".facts strong")).to_have_text("150")


def test_a_mistake_is_shown_under_the_text_where_it_is(logs: RunningServer, open_page: Open) -> None:
    page = open_page(logs.url)
    open_page.allowed = "status of 400"  # type: ignore[attr-defined]
    expect(page.locator(".line").first).to_be_visible()
    ask(page, 'level:error "open')
    error = page.locator("#query-error")
    expect(error).to_contain_text("quote")
    assert error.locator("pre").inner_text().index("^") == len("level:error ")
    expect(page.locator(".line").first).to_be_visible()
    # What is still there of the question before is dimmed, all of it.
    for part in (".histogram", ".list", ".fields > ul:last-child"):
        expect(page.locator(part)).to_have_class(re.compile("dimmed"))


def test_fields_and_values_are_completed(logs: RunningServer, open_page: Open) -> None:
    page = open_page(logs.url)
    page.click("#query")
    page.keyboard.type("lev")
    expect(page.locator("#completions")).to_contain_text("level:")
    page.keyboard.press("Tab")
    expect(page.locator("#query")).to_have_value("level:")
    expect(page.locator("#completions")).to_contain_text("error")
    page.keyboard.type("err")
    expect(page.locator("#completions li")).to_have_count(1)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#query")).to_have_value(re.compile("level:error"))
    page.keyboard.press("Enter")
    expect(page.locator(".facts strong")).to_have_text(f"{COUNT // 5:,}")


def test_history_comes_back_in_an_empty_box(logs: RunningServer, open_page: Open) -> None:
    page = open_page(logs.url)
    ask(page, "retry")
    page.goto(logs.url)
    page.click("#query")
    expect(page.locator("#completions")).to_contain_text("retry")


def test_a_bar_and_a_drag_narrow_the_time(logs: RunningServer, open_page: Open) -> None:
    page = open_page(logs.url)
    over = page.locator(".histogram .u-over")
    expect(over).to_be_visible()
    before = int(page.locator(".facts strong").inner_text().replace(",", ""))
    box = over.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 40, steps=5)
    page.mouse.up()
    page.wait_for_url(re.compile("to="))
    narrowed = changed(page, before)
    assert 0 < narrowed < COUNT / 2
    page.click("button[aria-label='zoom out']")
    wider = changed(page, narrowed)
    assert wider > narrowed
    page.locator(".histogram .u-over").click(position={"x": box["width"] / 2, "y": 40})
    assert changed(page, wider) < narrowed


def test_presets_and_typed_times(logs: RunningServer, open_page: Open) -> None:
    page = open_page(logs.url)
    expect(page.locator(".facts strong")).to_have_text(re.compile("3,0"))
    before = int(page.locator(".facts strong").inner_text().replace(",", ""))
    page.keyboard.press("t")
    page.get_by_role("button", name="last 5 min").click()
    assert changed(page, before) < COUNT / 2
    page.click("#range")
    page.get_by_role("textbox", name="From").fill("2023-09-15 08:00")
    page.get_by_role("textbox", name="To").fill("2023-09-15 09:00")
    page.get_by_role("button", name="Apply").click()
    expect(page.locator(".hint")).to_be_visible()
    page.click("#range")
    page.get_by_role("textbox", name="From").fill("yesterday")
    page.get_by_role("button", name="Apply").click()
    expect(page.locator(".popup [role=alert]")).to_contain_text("A time is like")


def test_what_is_no_time_in_the_address_is_shown_as_it_is(logs: RunningServer, open_page: Open) -> None:
    open_page.allowed = "400"  # type: ignore[attr-defined]
    page = open_page(f"{logs.url}/?from=30y")
    expect(page.locator("#range")).to_have_text("30y to now")
    expect(page.locator(".error, [role=alert]").first).to_contain_text("not a time: '30y'")


def test_the_zone_can_be_switched(logs: RunningServer, open_page: Open) -> None:
    page = open_page(logs.url, timezone_id="Asia/Tokyo")
    time = page.locator(".lines time").first
    stamp = time.get_attribute("datetime")
    assert stamp
    # The stamp has no zeros at its end, what is shown has three digits.
    shown = stamp[11:].removesuffix("Z").partition(".")
    in_utc = re.compile(re.escape(f"{shown[0]}.{shown[2][:3]:0<3}") + "$")
    expect(time).not_to_have_text(in_utc)
    page.get_by_role("button", name="local time").click()
    expect(time).to_have_text(in_utc)


def test_a_value_of_the_sidebar_includes_and_excludes(logs: RunningServer, open_page: Open) -> None:
    page = open_page(logs.url)
    page.get_by_role("button", name=re.compile("^service")).click()
    page.get_by_title("only service web", exact=True).click()
    expect(page.locator("#query")).to_have_value("service:web")
    expect(page.locator(".facts strong")).to_have_text("1,000")
    page.get_by_title("without level info", exact=True).click()
    expect(page.locator("#query")).to_have_value("service:web -level:info")
    expect(page.locator(".facts strong")).to_have_text("400")


def test_all_values_of_a_field_can_be_seen(logs: RunningServer, open_page: Open) -> None:
    page = open_page(f"{logs.url}/?q=resourceId:*")
    page.get_by_role("button", name=re.compile("^resourceId")).click()
    values = page.locator(".fields li", has_text="resourceId").locator(".value")
    expect(values).to_have_count(10)
    page.get_by_role("button", name="+ 10 more").click()
    expect(values).to_have_count(20)
    expect(page.locator(".fields .more")).to_have_count(0)


def test_a_field_becomes_a_column(logs: RunningServer, open_page: Open) -> None:
    page = open_page(logs.url)
    page.get_by_role("button", name=re.compile("^resourceId")).click()
    page.get_by_role("button", name="column").last.click()
    column = page.locator(".line").first.locator(".column")
    expect(column.nth(1)).to_contain_text("server-")
    assert "columns=service%2CresourceId" in page.url
    page.get_by_role("button", name=re.compile("^service")).click()
    page.locator(".fields li", has_text="service").get_by_role("button", name="column").first.click()
    expect(column).to_have_count(1)
    page.get_by_role("button", name="column", pressed=True).click()
    expect(column).to_have_count(0)
    page.reload()
    expect(page.locator(".line").first).to_be_visible()
    expect(column).to_have_count(0)


def test_the_service_is_a_column_by_itself_where_there_is_one(logs: RunningServer, open_page: Open) -> None:
    page = open_page(logs.url)
    expect(page.locator(".line").first.locator(".column")).to_have_text(re.compile("^(api|web|db)$"))
    assert "columns" not in page.url


def test_a_line_opens_to_its_fields(logs: RunningServer, open_page: Open) -> None:
    page = open_page(f"{logs.url}/?q=retry")
    page.locator(".line .cells").first.click()
    opened = page.locator(".opened")
    expect(opened).to_contain_text("metadata.region")
    assert "open=" in page.url
    opened.get_by_role("button", name="copy JSON").click()
    copied = json.loads(page.evaluate("navigator.clipboard.readText()"))
    assert copied["message"].startswith("retry")
    opened.get_by_role("button", name="lines around").click()
    expect(opened.locator(".around .line").first).to_be_visible()
    opened.get_by_role("button", name="only metadata.region of this line").click()
    expect(page.locator("#query")).to_have_value(re.compile(r"retry metadata\.region:(eu|us)"))


def test_all_of_a_trace(logs: RunningServer, open_page: Open) -> None:
    page = open_page(f"{logs.url}/?q=retry")
    page.locator(".line .cells").first.click()
    page.get_by_role("button", name="this trace").click()
    expect(page.locator("#query")).to_have_value(re.compile("trace_id:"))
    expect(page.locator(".lines > .line")).to_have_count(3)


def test_endless_scroll_shows_every_line_once_and_holds_few(logs: RunningServer, open_page: Open) -> None:
    page = open_page(f"{logs.url}/?q=resourceId:*")
    expect(page.locator(".lines > .line").first).to_be_visible()
    seen: set[str] = set()
    for _ in range(200):
        ids = page.eval_on_selector_all(".lines > .line", "lines => lines.map(line => line.dataset.id)")
        assert len(ids) == len(set(ids))
        assert len(ids) <= 900
        seen.update(ids)
        if len(seen) == COUNT:
            break
        page.eval_on_selector(".list", "list => list.scrollTo(0, list.scrollHeight)")
        page.wait_for_timeout(60)
    assert len(seen) == COUNT
    first = page.get_attribute(".lines > .line", "data-id")
    for _ in range(200):
        page.eval_on_selector(".list", "list => list.scrollTo(0, 0)")
        page.wait_for_timeout(60)
        if page.locator(".lines > .line").first.get_attribute("aria-rowindex") == "1":
            break
    assert page.get_attribute(".lines > .line", "data-id") != first
    assert page.locator(".lines > .line").first.get_attribute("aria-rowindex") == "1"


def test_new_lines_wait_until_they_are_wanted(logs: RunningServer, open_page: Open) -> None:
    run = uuid.uuid4().hex
    send(logs, [{"message": "one", "run": run}])
    page = open_page(f"{logs.url}/?q=run:{run}")
    expect(page.locator(".lines > .line")).to_have_count(1)
    send(logs, [{"message": "two", "run": run}])
    button = page.locator(".fresh")
    expect(button).to_have_text("1 new line", timeout=15_000)
    expect(page.locator(".lines > .line")).to_have_count(1)
    button.click()
    expect(page.locator(".lines > .line")).to_have_count(2)


def test_an_empty_answer_leads_on(logs: RunningServer, open_page: Open) -> None:
    page = open_page(f"{logs.url}/?q=levle:error")
    expect(page.locator(".hint")).to_contain_text("Nothing found")
    page.locator(".hint a").click()
    expect(page.locator("#query")).to_have_value("level:error")
    expect(page.locator(".lines > .line").first).to_be_visible()
    expect(page.locator(".hint")).to_have_count(0)


def test_an_answer_without_anything_near_says_so(logs: RunningServer, open_page: Open) -> None:
    page = open_page(f"{logs.url}/?q={uuid.uuid4().hex}&from=1h")
    expect(page.locator(".hint p")).to_have_text("Nothing found at these times")
    page.get_by_role("button", name="Search all time").click()
    expect(page.locator(".hint p")).to_have_text("Nothing found")
    expect(page.get_by_role("button", name="Search all time")).to_have_count(0)


def test_a_field_that_is_left_out_as_a_text_is_told(logs: RunningServer, open_page: Open) -> None:
    page = open_page(f"{logs.url}/?q=NOT level%3Derror")
    expect(page.locator(".hint p")).to_have_text("What is left out is a text, as a field it is")
    expect(page.locator(".lines > .line").first).to_be_visible()
    page.locator(".hint a").click()
    expect(page.locator("#query")).to_have_value("NOT level:error")
    expect(page.locator(".hint")).to_have_count(0)


def test_statistics_of_nothing_say_so(logs: RunningServer, open_page: Open) -> None:
    page = open_page(f"{logs.url}/?q={uuid.uuid4().hex} | stats p99(status) by service")
    expect(page.locator(".hint p")).to_have_text("Nothing found at these times")
    expect(page.locator(".figures")).to_have_count(0)


def test_a_limit_says_how_many_of_how_many_are_shown(logs: RunningServer, open_page: Open) -> None:
    page = open_page(f"{logs.url}/?q={quote('service:db | sort latency_ms desc | limit 5')}")
    expect(page.locator(".lines > .line")).to_have_count(5)
    expect(page.locator(".facts")).to_contain_text("5 of 1,000 lines")
    ask(page, "service:db | limit 5000")
    expect(page.locator(".facts")).to_have_text(re.compile("^ *1,000 lines"))


def test_keys(logs: RunningServer, open_page: Open) -> None:
    page = open_page(logs.url)
    expect(page.locator(".lines > .line").first).to_be_visible()
    page.keyboard.press("/")
    expect(page.locator("#query")).to_be_focused()
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    expect(page.locator(".list")).to_be_focused()
    page.keyboard.press("j")
    page.keyboard.press("ArrowDown")
    expect(page.locator(".lines > .line").nth(2)).to_have_class(re.compile("current"))
    page.keyboard.press("Enter")
    expect(page.locator(".opened")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".opened")).to_have_count(0)
    page.keyboard.press("w")
    expect(page.locator(".list")).to_have_class(re.compile("wrap"))
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("wrap long lines")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("x")
    expect(page.locator("#query")).to_have_value(re.compile("^-level:"))


def test_the_sql_is_shown(logs: RunningServer, open_page: Open) -> None:
    page = open_page(f"{logs.url}/?q=level:error")
    page.get_by_role("button", name="show the SQL").click()
    expect(page.get_by_role("dialog")).to_contain_text("SELECT")


def test_an_export_has_every_line(logs: RunningServer, open_page: Open) -> None:
    page = open_page(f"{logs.url}/?q=service:db")
    page.get_by_role("button", name="export").click()
    with page.expect_download() as download:
        page.get_by_role("dialog").get_by_role("button", name="Export").click()
    rows = download.value.path().read_text().splitlines()
    assert len(rows) == 1_000
    assert all(json.loads(row)["service"] == "db" for row in rows)
    page.get_by_label("CSV").check()
    with page.expect_download() as download:
        page.get_by_role("dialog").get_by_role("button", name="Export").click()
    assert len(download.value.path().read_text().splitlines()) == 1_001
    page.get_by_label("Parquet").check()
    with page.expect_download() as download:
        page.get_by_role("dialog").get_by_role("button", name="Export").click()
    assert download.value.path().read_bytes()[:4] == b"PAR1"


def test_an_export_says_how_much_of_it_is_done(logs: RunningServer, open_page: Open) -> None:
    page = open_page(f"{logs.url}/?q=service:db")
    expect(page.locator(".facts strong")).to_have_text("1,000")
    # An answer that has begun and does not end, with an end of line inside of quotes.
    page.evaluate("""() => {
        const asked = window.fetch;
        window.fetch = (address, options) => options?.headers?.Accept !== "text/csv" ? asked(address, options)
            : Promise.resolve(new Response(new ReadableStream({ start(stream) {
                stream.enqueue(new TextEncoder().encode('time,message\\n1,"one\\ntwo"\\n2,three\\n'));
            } })));
    }""")
    page.get_by_role("button", name="export").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("CSV").check()
    dialog.get_by_role("button", name="Export").click()
    expect(dialog).to_contain_text("2 of 1,000 lines, 33 B")
    expect(dialog.get_by_role("progressbar")).to_have_attribute("max", "1000")
    dialog.get_by_role("button", name="Close").click()
    page.get_by_role("button", name="export").click()
    dialog.get_by_label("CSV").check()
    dialog.get_by_label("Lines at most").fill("20")
    dialog.get_by_role("button", name="Export").click()
    expect(dialog).to_contain_text("2 of 20 lines")
    dialog.get_by_role("button", name="Close").click()


def test_statistics_are_a_table_and_a_chart(logs: RunningServer, open_page: Open) -> None:
    page = open_page(f"{logs.url}/?q=" + "resourceId:* | stats count() as n, p99(latency_ms) as slow by service")
    expect(page.locator(".figures tbody tr")).to_have_count(3)
    expect(page.locator(".figures")).to_contain_text("1,000")
    expect(page.locator(".bars .bar-row")).to_have_count(3)
    page.get_by_title("lines with this service").first.click()
    expect(page.locator("#query")).to_have_value(re.compile("service:"))
    ask(page, "* | stats count() as n by bin(5m), level")
    expect(page.locator(".chart canvas")).to_be_visible()


def test_levels_have_their_colours_in_charts_and_the_legend_has_figures(logs: RunningServer, open_page: Open) -> None:
    page = open_page(f"{logs.url}/?q=" + "resourceId:* | stats count() as n by bin(1h), level")
    legend = page.locator(".chart .u-series")
    expect(legend).to_have_count(4)
    marker = "row => getComputedStyle(row.querySelector('.u-marker')).borderTopColor"
    colours = {row.locator(".u-label").inner_text(): row.evaluate(marker) for row in legend.all()[1:]}
    expect(legend.first).to_contain_text(re.compile(r"20\d\d-"))
    for row in legend.all()[1:]:
        expect(row).to_contain_text(re.compile(r"\d"))
    ask(page, "resourceId:* | top 5 level")
    bars = page.locator(".bar-row")
    expect(bars).to_have_count(3)
    fill = "row => getComputedStyle(row.querySelector('rect')).fill"
    assert {row.locator(".name").inner_text(): row.evaluate(fill) for row in bars.all()} == colours
    assert len(set(colours.values())) == 3


def test_a_number_of_a_table_leads_to_what_it_counts(logs: RunningServer, open_page: Open) -> None:
    query = (
        "resourceId:* | stats count() as n, count() if (latency_ms:>=400 AND -level:info) as slow by service, bin(10m)"
    )
    page = open_page(f"{logs.url}/?q={quote(query)}")
    row = page.locator(".figures tbody tr").nth(4)
    service = row.get_by_title("lines with this service").inner_text()
    slow = row.get_by_title("its lines with latency_ms:>=400")
    counted = slow.inner_text()
    slow.click()
    expect(page.locator("#query")).to_have_value(re.compile(f"service:{service} .*latency_ms:>=400"))
    expect(page.locator(".facts strong")).to_have_text(counted)


def test_a_number_of_a_part_of_a_bin_leads_to_that_part(logs: RunningServer, open_page: Open) -> None:
    page = open_page(f"{logs.url}/?q={quote('resourceId:* | stats count() as n by bin(1h)')}&from=40m&to=5m")
    for place in (0, -1):
        number = page.locator(".figures tbody tr").nth(place).get_by_title("its lines")
        counted = number.inner_text()
        number.click()
        page.wait_for_url(re.compile("from=20.*to=20"))
        expect(page.locator(".lines > .line").first).to_be_visible()
        expect(page.locator(".facts strong")).to_have_text(counted)
        page.go_back()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_two_lines_of_a_chart_look_the_same(logs: RunningServer, open_page: Open, scheme: str) -> None:
    query = quote("resourceId:* | stats count() as n by bin(1h), resourceId")
    page = open_page(f"{logs.url}/?q={query}", color_scheme=scheme)
    markers = page.locator(".chart .u-series:not(:first-child) .u-marker")
    expect(markers).to_have_count(12)
    look = "all => all.map(getComputedStyle).map(style => [style.borderTopColor, style.borderTopStyle])"
    seen = [tuple(each) for each in markers.evaluate_all(look)]
    assert len({colour for colour, _ in seen[:10]}) == 10
    assert len(set(seen)) == 12


def test_patterns_lead_to_their_lines(logs: RunningServer, open_page: Open) -> None:
    page = open_page(f"{logs.url}/?q=" + "resourceId:* | patterns")
    rows = page.locator(".patterns li")
    expect(rows.first).to_be_visible()
    assert rows.count() <= 12
    ask(page, "resourceId:* | patterns | limit 2")
    expect(rows).to_have_count(2)
    rows.first.locator(".pattern").click()
    expect(page.locator(".lines > .line").first).to_be_visible()
    assert "patterns" not in page.input_value("#query")
    ask(page, "resourceId:* AND level:>=warn | patterns")
    counted = rows.first.locator(".number").inner_text()
    rows.first.locator(".pattern").click()
    # What was asked already is not asked twice.
    expect(page.locator("#query")).to_have_value(re.compile("^resourceId:[*] level:>=warn (?!.*level)"))
    expect(page.locator(".facts strong")).to_have_text(counted)


def test_sharing_fixes_the_times(logs: RunningServer, open_page: Open) -> None:
    page = open_page(f"{logs.url}/?q=retry")
    expect(page.locator(".lines > .line").first).to_be_visible()
    page.get_by_role("button", name="share").click()
    page.wait_for_url(re.compile("from=20.*to=20"))
    link = page.evaluate("navigator.clipboard.readText()")
    assert "q=retry" in link
    expect(page.locator(".facts")).to_contain_text("link copied")
    assert "to=20" in link
