"""Request lines of customers: the fields, and why a line is refused."""

import json

import pytest

from logriver import clock
from logriver.columns import DECODED_COLUMNS
from tests.decode.decoding import decoded

LINE = "2024-09-14 16:15:35 cust_5 /api/v1/resource4 200 0.772"
NAMES = [column.name for column in DECODED_COLUMNS]


def row_of(line: str) -> dict[str, str]:
    found = decoded("api_requests", line.encode() + b"\n")
    assert (found.count, found.refused) == (1, [])
    return dict(zip(NAMES, found.rows.decode().removesuffix("\n").split("\t"), strict=True))


def test_fields() -> None:
    row = row_of(LINE)
    assert clock.to_text(int(row["timestamp"])) == "2024-09-14T16:15:35Z"
    assert row["message"] == LINE
    assert row["level"] == ""
    assert row["attributes"] == (
        '{"customer":"cust_5","path":"/api/v1/resource4","status":200,"latency_seconds":0.772}'
    )


@pytest.mark.parametrize("line", [f"{LINE} and more", f"  {LINE}", LINE.replace(" ", "  "), f"{LINE} "])
def test_six_tokens_wherever_they_stand(line: str) -> None:
    row = row_of(line)
    assert json.loads(row["attributes"]) == json.loads(row_of(LINE)["attributes"])
    assert row["message"] == line


@pytest.mark.parametrize(
    ("latency", "kept"),
    [
        ("0.7720", "0.7720"),
        ("1", "1"),
        ("1e-3", "1e-3"),
        ("0", "0"),
        (".5", "0.5"),
        ("1.", "1.0"),
        ("+2.5", "2.5"),
        ("007.5", "7.5"),
        ("0." + "1" * 100, "0.1111111111111111"),
    ],
)
def test_latency_keeps_its_spelling_where_json_has_it(latency: str, kept: str) -> None:
    attributes = row_of(f"2024-09-14 16:15:35 c /p 200 {latency}")["attributes"]
    assert attributes.endswith(f'"latency_seconds":{kept}}}')
    assert json.loads(attributes)["latency_seconds"] == float(latency)


def test_odd_names_are_kept() -> None:
    line = 'c"\\\x00é 200'
    row = row_of(f'2024-09-14 16:15:35 c"\\\x00é /p\\q 200 1 {line}')
    attributes = json.loads(row["attributes"].replace("\\\\", "\\"))
    assert (attributes["customer"], attributes["path"]) == ('c"\\\x00é', "/p\\q")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("rubbish", "expected 6 tokens, got 1"),
        ("   ", "expected 6 tokens, got 0"),
        ("2024-09-14 16:15:35 cust_5 /a 200", "expected 6 tokens, got 5"),
        ("2024-02-30 16:15:35 c /p 200 1", "no such day: '2024-02-30'"),
        ("24-09-14 16:15:35 c /p 200 1", "not a date: '24-09-14'"),
        ("٢٠٢٤-09-14 16:15:35 c /p 200 1", "not a date: '٢٠٢٤-09-14'"),
        ("2024-09-14 24:00:00 c /p 200 1", "not a time of day: 24:00:00"),
        ("2024-09-14 16:15 c /p 200 1", "not a time of day: '16:15'"),
        ("1899-12-31 16:15:35 c /p 200 1", "time is outside 1900-01-01 to 2262-04-11T23:47:16Z"),
        ("2024-09-14 16:15:35 c /p 099 1", "not a status from 100 to 599: '099'"),
        ("2024-09-14 16:15:35 c /p 600 1", "not a status from 100 to 599: '600'"),
        ("2024-09-14 16:15:35 c /p 200.0 1", "not a status from 100 to 599: '200.0'"),
        ("2024-09-14 16:15:35 c /p 200 -1", "not a latency in seconds: '-1'"),
        ("2024-09-14 16:15:35 c /p 200 nan", "not a latency in seconds: 'nan'"),
        ("2024-09-14 16:15:35 c /p 200 inf", "not a latency in seconds: 'inf'"),
        ("2024-09-14 16:15:35 c /p 200 1e999", "not a latency in seconds: '1e999'"),
        ("2024-09-14 16:15:35 c /p 200 1_0", "not a latency in seconds: '1_0'"),
        ("2024-09-14 16:15:35 c /p 200 0.5s", "not a latency in seconds: '0.5s'"),
        ("2024-09-14 16:15:35 c /p 200 " + "x" * 100, f"not a latency in seconds: {'x' * 60!r}"),
    ],
)
def test_bad_line_is_refused_with_the_reason(line: str, reason: str) -> None:
    found = decoded("api_requests", f"{LINE}\r\n\n{line}\n{LINE}\n".encode(), 100)
    assert found.count == 2
    (refused,) = found.refused
    assert (refused.line, refused.offset, refused.raw) == (3, 100 + len(LINE) + 3, line.encode())
    assert refused.reason == reason
