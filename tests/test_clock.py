"""Times: text and numbers to nanoseconds and back, the cache that remembers their parts, zones; and levels."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logriver import clock
from logriver.decode.time.cache import TimeCache
from logriver.decode.time.timestamps import time_of
from logriver.levels import LEVELS, OTEL_LEVELS, SYSLOG_LEVELS, level_of, level_of_number
from tests.cpu_time import within_cpu_time

BERLIN = ZoneInfo("Europe/Berlin")


def berlin(time_ns: int) -> int:
    offset = datetime.fromtimestamp(time_ns // clock.SECOND_NS, UTC).astimezone(BERLIN).utcoffset()
    return int((offset or timedelta()).total_seconds())


times_ns = st.integers(clock.MIN_TIME_NS, clock.MAX_TIME_NS)
zones = st.sampled_from(["", "Z", "z", " UTC", "+00:00", "-0000", "+00", "+02:00", "-0530", " +14", "+23:59", "-24:00"])
fractions = st.one_of(st.just(""), st.from_regex(r"[.,][0-9]{1,12}", fullmatch=True))
# Few dates and odd ones, so that what is remembered is met again in other company.
dates = st.sampled_from(
    ["2023-09-15", "2001-09-09", "2001-09-08", "1969-12-31", "2262-04-11", "2262-04-12", "1900-01-01", "2026-03-29"]
)
clocks = st.sampled_from(["08:00:00", "01:46:40", "23:47:16", "02:30:00", "00:00:60", "24:00:00", "08:00", "8:00:00"])
texts = st.one_of(
    st.builds("{}{}{}{}{}".format, dates, st.sampled_from("Tt _"), clocks, fractions, zones),
    st.builds("{}{}{}".format, times_ns.map(clock.to_text).map(lambda text: text[:19]), fractions, zones),
    st.sampled_from(["", "yesterday", "2023-09-15", "2023-02-30T00:00:00Z", "2023-09-15T08:00:00.Z", "١٩٦٩-01-01"]),
    st.text(max_size=25),
)


@given(times_ns)
@within_cpu_time
def test_a_time_comes_back(time_ns: int) -> None:
    text = clock.to_text(time_ns)
    assert clock.from_text(text) == time_ns
    assert clock.from_text(text.replace("Z", "")) == time_ns
    assert clock.from_number(time_ns // clock.SECOND_NS) == time_ns // clock.SECOND_NS * clock.SECOND_NS


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1700000000", "2023-11-14T22:13:20Z"),
        ("1700000000.25", "2023-11-14T22:13:20.25Z"),
        ("1700000000.1234567891", "2023-11-14T22:13:20.123456789Z"),
        ("1700000000123", "2023-11-14T22:13:20.123Z"),
        ("1700000000123456", "2023-11-14T22:13:20.123456Z"),
        ("1700000000123456789", "2023-11-14T22:13:20.123456789Z"),
    ],
)
def test_an_epoch_number_may_be_a_text(text: str, expected: str) -> None:
    assert clock.to_text(clock.from_text(text)) == expected
    assert TimeCache().digits([text], NOW_NS) == [str(clock.from_text(expected))]


@pytest.mark.parametrize(
    "text", ["170000000", "17000000000", "1700000000123.5", "20240131", "-1700000000", "1.7e9", "9" * 19]
)
def test_other_numbers_are_no_times(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a time|outside"):
        clock.from_text(text)


@given(st.integers(-2_208_902_400, 9_223_200_000), st.integers(0, 999_999), st.integers(-1439, 1439))
@within_cpu_time
def test_texts_mean_what_the_standard_library_says(seconds: int, micros: int, minutes: int) -> None:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds, microseconds=micros)
    zoned = moment + timedelta(minutes=minutes)
    sign = "-" if minutes < 0 else "+"
    text = f"{zoned:%Y-%m-%dT%H:%M:%S.%f}{sign}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
    assert clock.from_text(text) == (seconds * 1_000_000 + micros) * 1000


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1_694_764_800, "2023-09-15T08:00:00Z"),
        (1_694_764_800.25, "2023-09-15T08:00:00.25Z"),
        (1_700_000_000.123, "2023-11-14T22:13:20.123Z"),
        (1_732_867_200.000001, "2024-11-29T08:00:00.000001Z"),
        (1_700_000_000_123.5, "2023-11-14T22:13:20.1235Z"),
        (-0.5, "1969-12-31T23:59:59.5Z"),
        (-2_208_988_800, "1900-01-01T00:00:00Z"),
        (1_694_764_800_000, "2023-09-15T08:00:00Z"),
        (1_694_764_800_000_001, "2023-09-15T08:00:00.000001Z"),
        (1_694_764_800_000_000_001, "2023-09-15T08:00:00.000000001Z"),
        (clock.MAX_TIME_NS, "2262-04-11T23:47:16Z"),
    ],
)
def test_a_number_is_read_by_its_size(number: float, text: str) -> None:
    assert clock.to_text(clock.from_number(number)) == text


@pytest.mark.parametrize(
    "number", [-2_208_988_801, 99_999_999_999, clock.MAX_TIME_NS + 1, 1e300, -1e300, float("inf"), float("nan")]
)
def test_a_number_outside_of_the_accepted_times_is_refused(number: float) -> None:
    with pytest.raises(ValueError, match="time is outside 1900-01-01 to 2262-04-11T23:47:16Z"):
        clock.from_number(number)


@pytest.mark.parametrize("day", ["2023-02-29", "2023-13-01", "2023-00-10", "0000-01-01"])
def test_a_day_that_there_is_not_is_named(day: str) -> None:
    with pytest.raises(ValueError, match=f"^no such day: '{day}'$"):
        clock.from_text(f"{day}T08:00:00Z")


# -- the cache ---------------------------------------------------------------------------------------------------------


NOW_NS = clock.from_text("2026-11-30T12:00:00Z")


def utc(_time_ns: int) -> int:
    return 0


def meaning(text: str, zone: clock.Zone | None) -> str:
    try:
        return str(time_of(text, zone or utc, NOW_NS))
    except ValueError as error:
        return f"refused: {error}"


def remembered(cache: TimeCache, text: str) -> str:
    try:
        return cache.digits_of(text, NOW_NS)
    except ValueError as error:
        return f"refused: {error}"


@pytest.mark.parametrize("zone", [None, berlin])
@given(sent=st.lists(texts, max_size=30))
@within_cpu_time
def test_the_cache_says_what_the_clock_says(zone: clock.Zone | None, sent: list[str]) -> None:
    cache = TimeCache(zone)
    expected = [meaning(text, zone) for text in sent]
    assert [remembered(cache, text) for text in sent] == expected
    assert [remembered(cache, text) for text in sent] == expected
    good = [(text, digits) for text, digits in zip(sent, expected, strict=True) if not digits.startswith("refused")]
    assert cache.digits([text for text, _ in good], NOW_NS) == [digits for _, digits in good]
    if len(good) < len(sent):
        with pytest.raises(ValueError, match=r"."):
            cache.digits(sent, NOW_NS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026/11/29 08:00:00.5", "2026-11-29T08:00:00.5Z"),
        ("29/Nov/2026:08:00:00 +0100", "2026-11-29T07:00:00Z"),
        ("Sun, 29 Nov 2026 08:00:00 GMT", "2026-11-29T08:00:00Z"),
        ("Sun Nov 29 08:00:00 2026", "2026-11-29T08:00:00Z"),
        ("11/29/2026 08:00:00 PM", "2026-11-29T20:00:00Z"),
    ],
)
def test_a_field_s_time_may_be_written_as_lines_begin(text: str, expected: str) -> None:
    assert clock.to_text(time_of(text, utc, NOW_NS)) == expected
    assert TimeCache().digits([text, expected], NOW_NS) == [str(clock.from_text(expected))] * 2


def test_which_year_is_meant_is_not_remembered() -> None:
    cache = TimeCache()
    for now, expected in (("2026-11-27T00:00:00Z", "2025"), ("2026-11-30T12:00:00Z", "2026")):
        assert (
            clock.to_text(int(cache.digits_of("Nov 30 12:00:00", clock.from_text(now))))
            == f"{expected}-11-30T12:00:00Z"
        )


@pytest.mark.parametrize("text", ["08:00:00", "00:00:05.123", "2026/02/30 08:00:00", "2026/11/29 08:00:00 x", ""])
def test_no_other_text_is_a_time(text: str) -> None:
    with pytest.raises(ValueError, match=r"^not a time: "):
        time_of(text, utc, NOW_NS)


def test_the_cache_is_bounded() -> None:
    cache = TimeCache()
    for nanos in range(0, 60_000 * clock.SECOND_NS, clock.SECOND_NS):
        text = clock.to_text(10**18 + nanos)
        assert cache.digits_of(text, NOW_NS) == str(10**18 + nanos)
    assert len(cache._seconds) <= 50_000


# -- zones -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2023-07-01T08:00:00", "2023-07-01T06:00:00Z"),
        ("2023-12-01T08:00:00.25", "2023-12-01T07:00:00.25Z"),
        ("2023-07-01T08:00:00Z", "2023-07-01T08:00:00Z"),
        ("2023-07-01T08:00:00+00:00", "2023-07-01T08:00:00Z"),
        ("2026-03-29T01:59:59", "2026-03-29T00:59:59Z"),
        ("2026-03-29T03:00:00", "2026-03-29T01:00:00Z"),
        ("2023-07-01", "2023-06-30T22:00:00Z"),
    ],
)
def test_only_a_text_without_a_zone_is_a_time_of_the_zone(text: str, utc: str) -> None:
    assert clock.to_text(clock.from_text(text, berlin)) == utc
    cache = TimeCache(berlin)
    assert [cache.digits_of(text, NOW_NS) for _ in range(2)] == [str(clock.from_text(utc))] * 2


@given(st.integers(clock.MIN_TIME_NS // 10**9 + 86_400, clock.MAX_TIME_NS // 10**9 - 86_400))
@within_cpu_time
def test_what_a_zone_shows_is_that_time_or_one_that_it_shows_too(seconds: int) -> None:
    time_ns = seconds * clock.SECOND_NS
    shown_ns = time_ns + berlin(time_ns) * clock.SECOND_NS
    found_ns = clock.from_text(clock.to_text(shown_ns)[:-1], berlin)
    assert found_ns + berlin(found_ns) * clock.SECOND_NS == shown_ns


# -- levels ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("meaning", "spellings"),
    [
        ("trace", ["trace", "TRACE", " Trace "]),
        ("debug", ["debug", "DEBUG"]),
        ("info", ["info", "notice", "information", "INFORMATION", "30"]),
        ("warn", ["warn", "warning", "Warning"]),
        ("error", ["error", "err", "ERROR"]),
        ("fatal", ["fatal", "crit", "critical", "alert", "emerg", "panic", "60"]),
        ("verbose", ["Verbose"]),
        ("15", ["15"]),
        ("", [""]),
    ],
)
def test_what_a_level_means(meaning: str, spellings: list[str]) -> None:
    assert {level_of(spelling) for spelling in spellings} == {meaning}


def test_what_a_number_means_as_level() -> None:
    assert [level_of_number(number) for number in (10, 20, 30, 40, 50, 60)] == list(LEVELS)
    assert [level_of_number(number) for number in (5, 35, 30.0, 2.5)] == ["5", "35", "info", "2.5"]
    assert (OTEL_LEVELS[1], OTEL_LEVELS[9], OTEL_LEVELS[24]) == ("trace", "info", "fatal")
    assert (SYSLOG_LEVELS[0], SYSLOG_LEVELS[4], SYSLOG_LEVELS[7]) == ("fatal", "warn", "debug")
