"""What holds for every implementation of `Decoder`, whatever the format."""

import json
import pickle
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from logriver import clock
from logriver.decode.decoder import Decoder, MakeDecoder, Options, State
from logriver.decode.formats import FORMATS
from logriver.decode.reference import ReferenceDecoder
from logriver.decode.row_builder import values
from logriver.decode.row_check import RowCheck
from logriver.errors import BadBody, SettingsError
from logriver.ingest.thread_decoder import ThreadDecoder
from logriver.record import Decoded
from tests.cpu_time import within_cpu_time
from tests.decode.decoding import NOW_NS

IMPLEMENTATIONS = [ReferenceDecoder]
USER = Options("shop", r"(?P<timestamp>\S+ \S+) (?P<level>\w+) \[(?P<service>[^\]]+)\] (?P<message>.*)")
LABELLED = (("env", "prod"), ("service", "shop"))
SOURCES = {
    **{name: Options(name, zone="UTC", max_record_bytes=1_000) for name in (*FORMATS, "journal")},
    "user": replace(USER, zone="Europe/Paris", max_record_bytes=1_000),
    "labelled": Options("text", zone="+02:00", labels=LABELLED, host="web-1"),
    "labelled_json": Options("json", zone="+02:00", labels=LABELLED, host="web-1"),
    "pod": Options("cri", zone="UTC", path="/var/log/pods/shop_checkout-7d9f_0b5c-11/pay/0.log"),
}
SHAPES = sorted((Path(__file__).parent / "shapes").glob("*.txt"))
SAMPLES = [line.split("\t", 2)[2].encode() for path in SHAPES for line in path.read_text().split("\n")[:2]]
SPECIAL = [
    b'{"time":"2026-01-02T03:04:05Z","level":"warn","msg":"a\\tb","n":{"x":1}}',
    b'{"timestamp":"no time","message":"x","env":"own"}',
    b'{"ts":1770000000.25,"host":"h","lvl":30}',
    b"{broken",
    b"2024-09-14 16:15:35 cust_5 /api/v1/resource4 200 0.772",
    b'1.2.3.4 - frank [10/Oct/2000:13:55:36 -0700] "GET /x HTTP/1.0" 200 2326',
    b'time=2024-01-02T03:04:05Z level=info msg="up \\"x\\"" port=80',
    b"2026-02-03 04:05:06,789 WARNING [shop] low",
    b"13/02/2026 10:00:00 day first",
    b"02/14/2026 10:00:00 month first",
    b"03/02/2026 10:00:00 either",
    b"2026-01-02T03:04:05.6Z stderr F ERROR in a container",
    b'2026-01-02T03:04:05.6Z stdout F {"level":"info","msg":"inside"}',
    b'{"log":"from docker\\n","stream":"stdout","time":"2026-01-02T03:04:05.6Z"}',
    b'{"__REALTIME_TIMESTAMP":"1770000000000007","__CURSOR":"s=1;i=2","MESSAGE":"m","PRIORITY":"3"}',
    b"Jan  2 03:04:05 host app[1]: no year",
    b"\ttabs\tand \\ backslashes",
    b"",
    b"\r",
    b"x" * 1_001,
    b"caf\xc3\xa9 \xff",
]
LINES = st.one_of(
    st.sampled_from(SPECIAL),
    st.sampled_from(SAMPLES),
    st.binary(max_size=40).map(lambda line: line.replace(b"\n", b"")),
)


@pytest.fixture(params=IMPLEMENTATIONS, ids=lambda kind: kind.__name__)
def make(request: pytest.FixtureRequest) -> MakeDecoder:
    kind: MakeDecoder = request.param
    return kind


def comparable(decoded: Decoded) -> tuple[list[list[str]], list[tuple[int, str, bytes]], int]:
    """Without the order of the fields that are left, which depends on what was seen before."""
    rows = [values(row) for row in decoded.rows.decode().split("\n")[:-1]]
    for row in rows:
        row[7] = json.dumps(json.loads(row[7]), sort_keys=True)
    return rows, [(refused.offset, refused.reason, refused.raw) for refused in decoded.refused], decoded.unmatched


def parts(decoder: Decoder, pieces: list[bytes], options: Options, state: State) -> tuple[Decoded, State]:
    decoded = []
    for piece in pieces:
        one, state = decoder.decode(piece, options, state)
        decoded.append(one)
    return Decoded.joined(decoded), state


@pytest.mark.parametrize("source", SOURCES)
@given(st.lists(LINES, max_size=8), st.lists(LINES, max_size=8), st.integers(0, 10_000))
@example([b"13/02/2026 10:00:00 x"], [b"02/14/2026 10:00:00 y"], 1)
@settings(max_examples=40)
@within_cpu_time
def test_cut_behind_any_line_the_rows_are_the_same(
    source: str, before: list[bytes], after: list[bytes], offset: int
) -> None:
    first, second = (b"".join(line + b"\n" for line in lines) for lines in (before, after))
    options, state = SOURCES[source], State(NOW_NS, offset)
    for kind in IMPLEMENTATIONS:
        whole, end = parts(kind(), [first + second], options, state)
        cut, end_of_cut = parts(kind(), [first, second], options, state)
        assert comparable(cut) == comparable(whole)
        assert end_of_cut == end


@pytest.mark.parametrize("source", SOURCES)
@given(st.lists(LINES, max_size=12))
@settings(max_examples=40)
@within_cpu_time
def test_rows_are_counted_good_and_one_buffer(source: str, lines: list[bytes]) -> None:
    data = b"".join(line + b"\n" for line in lines)
    for kind in IMPLEMENTATIONS:
        decoded, end = kind().decode(data, SOURCES[source], State(NOW_NS, 7))
        assert isinstance(decoded.rows, bytes)
        RowCheck(2_000_000).check(decoded.rows, decoded.count)
        if source != "journal":
            assert end.offset == 7 + len(data)
            for refused in decoded.refused:
                assert data[refused.offset - 7 :].startswith(refused.raw)


@pytest.mark.parametrize("source", SOURCES)
def test_what_was_decoded_before_changes_no_result(make: MakeDecoder, source: str) -> None:
    used, options, state = make(), SOURCES[source], State(NOW_NS, 0)
    data = b"".join(line + b"\n" for line in [*SPECIAL, *SAMPLES])
    for other in SOURCES.values():
        used.decode(data, other, state)
        used.whole(data, other, state)
    found, end = used.decode(data, options, state)
    fresh, fresh_end = make().decode(data, options, state)
    assert (comparable(found), end) == (comparable(fresh), fresh_end)


@pytest.mark.parametrize("source", SOURCES)
def test_no_clock_is_read(make: MakeDecoder, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> int:
        raise AssertionError("a decoder is told what time it is")

    monkeypatch.setattr(clock, "now_ns", none)
    data = b"".join(line + b"\n" for line in [*SPECIAL, *SAMPLES])
    make().decode(data, SOURCES[source], State(NOW_NS, 0))
    make().whole(data, SOURCES[source], State(NOW_NS, 0))


@pytest.mark.parametrize("source", SOURCES)
def test_options_and_state_are_plain_data(make: MakeDecoder, source: str) -> None:
    options, state = SOURCES[source], State(NOW_NS, 3, "text", 5, True)
    sent_options, sent_state = pickle.loads(pickle.dumps((options, state)))
    assert (sent_options, sent_state) == (options, state)
    assert hash(sent_options) == hash(options)
    data = b"".join(line + b"\n" for line in SPECIAL)
    assert make().decode(data, sent_options, sent_state) == make().decode(data, options, state)


def test_what_is_not_of_a_file(make: MakeDecoder) -> None:
    """Its sender is told: there are no offsets, no bytes, and what has no good time is refused."""
    options = Options("json", zone="UTC")
    data = b'{"message":"a"}\n{"timestamp":"no time"}\n{"message":"b"}\n'
    of_none, end = make().decode(data, options, State(NOW_NS))
    of_file, _ = make().decode(data, options, State(NOW_NS, 0))
    assert [row.split(b"\t")[9] for row in of_none.rows.splitlines()] == [b"0", b"0"]
    assert [(refused.line, refused.raw, refused.offset) for refused in of_none.refused] == [(2, b"", 0)]
    assert end.offset is None
    assert [row.split(b"\t")[9] for row in of_file.rows.splitlines()] == [b"0", b"16", b"40"]
    assert of_file.refused == []


def test_the_format_is_recognised_once(make: MakeDecoder) -> None:
    options = Options(zone="UTC")
    _, state = make().decode(b"level=info msg=x n=1\n" * 3, options, State(NOW_NS, 0))
    assert state.format == "logfmt"
    later, state = make().decode(b'{"message":"a"}\n' * 3, options, state)
    assert [row.split(b"\t")[2] for row in later.rows.splitlines()] == [b'{"message":"a"}'] * 3
    assert state.format == "logfmt"


@pytest.mark.parametrize(
    ("lines", "last", "day_first"),
    [
        ([b"no time"], None, None),
        ([b"2026-01-02 03:04:05 x", b"no time"], "2026-01-02T03:04:05Z", None),
        ([b"2026-01-02 03:04:05 x", b"no", b"2026-01-02 03:04:06 x"], "2026-01-02T03:04:06Z", None),
        ([b"03/02/2026 10:00:00 either"], "2026-03-02T10:00:00Z", None),
        ([b"13/02/2026 10:00:00 x", b"03/02/2026 10:00:00 y"], "2026-03-02T10:00:00Z", True),
        ([b"02/13/2026 10:00:00 x", b"13/02/2026 10:00:00 y"], "2026-02-13T10:00:00Z", False),
        ([b"13.02.2026 10:00:00 x"], "2026-02-13T10:00:00Z", True),
        ([b"26/02/13 10:00:00 the year is first"], "2026-02-13T10:00:00Z", None),
    ],
)
def test_what_the_lines_before_have_shown(
    make: MakeDecoder, lines: list[bytes], last: str | None, day_first: bool | None
) -> None:
    data = b"".join(line + b"\n" for line in lines)
    _, state = make().decode(data, Options("text", zone="UTC"), State(NOW_NS, 0))
    assert state.last_time_ns == (last and clock.from_text(last))
    assert state.day_first is day_first
    # It stays where the next lines show nothing.
    _, after = make().decode(b"nothing\n", Options("text", zone="UTC"), state)
    assert after == state._replace(offset=len(data) + len(b"nothing\n"))


def test_a_body_is_whole(make: MakeDecoder) -> None:
    options = Options("json_body", zone="UTC")
    for body in (
        b'[{"message":"a"},{"message":"b"}]',
        b'{"message":"a"}\n{"message":"b"}',
        b'{"message":"a"}{"message":"b"}',
    ):
        decoded, _ = make().decode(body, options, State(NOW_NS))
        assert [row.split(b"\t")[2] for row in decoded.rows.splitlines()] == [b"a", b"b"]
    with pytest.raises(BadBody):
        make().decode(b"", options, State(NOW_NS))


@pytest.mark.parametrize(
    "options",
    [
        Options("text", zone="Mars/Olympus"),
        Options("json", zone="Mars/Olympus"),
        Options("text", multiline_start="a(b"),
        Options("shop", pattern="a(b"),
        Options("text", labels=(("message", "x"),)),
    ],
)
def test_options_that_no_source_can_have(make: MakeDecoder, options: Options) -> None:
    with pytest.raises(SettingsError):
        make().decode(b"x\n", options, State(NOW_NS, 0))


def test_only_lines_without_the_user_s_format_are_unmatched(make: MakeDecoder) -> None:
    for options, unmatched in ((USER, 1), (Options("access"), 0), (Options("logfmt"), 0), (Options("text"), 0)):
        assert make().decode(b"nothing of it\n", options, State(NOW_NS, 0))[0].unmatched == unmatched


def test_each_thread_has_a_decoder_of_its_own() -> None:
    made: list[int] = []
    together = threading.Barrier(3, timeout=10)

    class Noted(ReferenceDecoder):
        def __init__(self) -> None:
            super().__init__()
            made.append(threading.get_ident())

    decoder = ThreadDecoder(Noted)

    def work() -> None:
        together.wait()
        for _ in range(3):
            decoder.decode(b"x\n", Options("text"), State(NOW_NS))
            decoder.whole(b"x\n", Options("text"), State(NOW_NS))
        together.wait()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == len(set(made)) == 3
