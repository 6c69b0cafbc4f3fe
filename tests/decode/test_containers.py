"""What container runtimes write: partial lines joined per stream, JSON inside read, times of the runtime."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logriver import clock
from logriver.columns import DECODED_COLUMNS
from logriver.decode.decoder import Options, State
from logriver.decode.formats import recognise
from logriver.decode.reference import ReferenceDecoder
from tests.cpu_time import within_cpu_time
from tests.decode.decoding import NOW_NS, decoded, whole

NAMES = [column.name for column in DECODED_COLUMNS]
POD = "/var/log/pods/shop_checkout-7d9f_0b5c-11/pay/0.log"


def rows(format: str, text: str, path: str = POD, multiline: str = "") -> list[dict[str, str]]:
    result = decoded(format, text.encode(), path=path, multiline=multiline)
    assert result.refused == []
    found = result.rows.decode().splitlines()
    return [dict(zip(NAMES, line.split("\t"), strict=True)) for line in found]


def docker(log: str, stream: str = "stdout", **more: object) -> str:
    return json.dumps({"log": log, "stream": stream, "time": "2026-02-03T04:05:06.123456789Z", **more}) + "\n"


def cri(text: str, stream: str = "stdout", tag: str = "F") -> str:
    return f"2026-02-03T04:05:06.123456789Z {stream} {tag} {text}\n"


@pytest.mark.parametrize(
    ("format", "text"), [("docker", docker("ERROR cannot pay\n", "stderr")), ("cri", cri("ERROR cannot pay", "stderr"))]
)
def test_text_has_the_time_of_the_runtime_and_its_own_level(format: str, text: str) -> None:
    assert recognise(text.encode()) == format
    (row,) = rows(format, text, "/var/log/x.log")
    assert clock.to_text(int(row["timestamp"])) == "2026-02-03T04:05:06.123456789Z"
    assert (row["level"], row["message"], row["attributes"]) == ("error", "ERROR cannot pay", '{"stream":"stderr"}')


@pytest.mark.parametrize("format", ["docker", "cri"])
def test_json_inside_has_its_fields(format: str) -> None:
    own = '{"time":"2026-01-01T00:00:00Z","level":"warn","msg":"a\\tb","stream":"own","n":{"x":1}}'
    timeless = '{"level":"info","msg":"no time"}'
    made = {"docker": docker(own + "\n") + docker(timeless + "\n"), "cri": cri(own) + cri(timeless)}
    first, second = rows(format, made[format], "/x")
    assert (first["level"], first["message"]) == ("warn", "a\\tb")
    assert clock.to_text(int(first["timestamp"])) == "2026-01-01T00:00:00Z"
    assert json.loads(first["attributes"]) == {"stream": "own", "n": {"x": 1}}
    assert clock.to_text(int(second["timestamp"])) == "2026-02-03T04:05:06.123456789Z"
    assert json.loads(second["attributes"]) == {"stream": "stdout"}


@pytest.mark.parametrize("format", ["docker", "cri"])
def test_parts_are_joined_for_each_stream_apart(format: str) -> None:
    made = {
        "docker": docker("one ") + docker("other\n", "stderr") + docker("two ") + docker("three\n") + docker("four\n"),
        "cri": cri("one ", tag="P")
        + cri("other", "stderr")
        + cri("two ", tag="P")
        + cri("three")
        + cri("four", tag="F:x"),
    }
    found = rows(format, made[format])
    assert [row["message"] for row in found] == ["one two three", "other", "four"]
    lines = made[format].splitlines(keepends=True)
    assert [int(row["_offset"]) for row in found] == [0, len(lines[0]), sum(map(len, lines[:4]))]
    ends = [whole(format, "".join(lines[:count]).encode()) for count in range(1, 6)]
    assert ends == [0, 0, 0, len("".join(lines[:4])), len(made[format])]


def test_a_record_over_the_limit_ends() -> None:
    parts = "".join(cri("x" * 400, tag="P") for _ in range(10)) + cri("end")
    result = decoded("cri", parts.encode(), max_record_bytes=1000)
    messages = [row.split("\t")[2] for row in result.rows.decode().splitlines()]
    assert "".join(messages) == "x" * 4000 + "end"
    assert list(map(len, messages)) == [800, 800, 800, 800, 803]


def test_the_path_of_a_pod_says_what_it_is() -> None:
    (row,) = rows("cri", cri("x"))
    expected = {"namespace": "shop", "pod": "checkout-7d9f", "container": "pay", "stream": "stdout"}
    assert json.loads(row["attributes"]) == expected


def test_labels_of_docker_are_kept() -> None:
    attrs = {"tag": "shop", "com.example/x": 'a"b\t'}
    text = docker("one\r\n", attrs=attrs) + docker("\n") + docker('{"attrs":1}\n', attrs=attrs)
    first, second = rows("docker", text)
    unescaped = first["attributes"].replace("\\\\", "\\")
    assert (first["message"], json.loads(unescaped)) == ("one", {"stream": "stdout", "attrs": attrs})
    assert json.loads(second["attributes"]) == {"stream": "stdout", "attrs": 1}


@pytest.mark.parametrize("format", ["docker", "cri"])
@pytest.mark.parametrize(
    ("line", "message", "attributes"),
    [
        ("not the runtime's", "not the runtime's", "{}"),
        ("{broken", "{broken", "{}"),
        ('{"log":"without a time"}', "without a time", "{}"),
        ("2026-02-30T99:00:00Z stdout F x", "2026-02-30T99:00:00Z stdout F x", '{"time_text":"2026-02-30T99:00:00Z"}'),
    ],
)
def test_a_line_that_is_not_the_runtimes_is_text(format: str, line: str, message: str, attributes: str) -> None:
    (row,) = rows(format, line + "\n", "/x")
    assert (row["message"], row["attributes"], int(row["timestamp"])) == (message, attributes, NOW_NS)


def test_stack_traces_inside_are_joined() -> None:
    text = (
        cri("ERROR boom")
        + cri("  at a")
        + cri("INFO other", "stderr")
        + cri("  at b ", tag="P")
        + cri("(c)")
        + cri("INFO next")
    )
    found = rows("cri", text, multiline="indent")
    assert [row["message"] for row in found] == ["ERROR boom\\n  at a\\n  at b (c)", "INFO other", "INFO next"]
    # The last of each stream may go on.
    assert whole("cri", text.encode(), multiline="indent") == 0
    more = (text + cri("INFO more", "stderr")).encode()
    assert whole("cri", more, multiline="indent") == len(text.removesuffix(cri("INFO next")))


_LINES = st.sampled_from(
    [cri("a"), cri(" b"), cri("c", "stderr"), cri("d", tag="P"), cri("e", "stderr", "P"), "odd\n", cri("x" * 300)]
)


@given(st.lists(_LINES, max_size=12), st.integers(0, 5_000), st.sampled_from(["", "indent"]))
@within_cpu_time
def test_what_was_looked_at_for_its_end_is_not_read_otherwise(lines: list[str], offset: int, multiline: str) -> None:
    text = "".join(lines).encode()
    options, state = Options("cri", zone="UTC", max_record_bytes=300, multiline=multiline), State(NOW_NS, offset)
    looked, other = ReferenceDecoder(), ReferenceDecoder()
    chunk = text[: looked.whole(text, options, state)]
    assert looked.decode(chunk, options, state) == other.decode(chunk, options, state)
    # And of other lines than those nothing is remembered.
    assert looked.decode(text, options, state) == other.decode(text, options, state)
