"""The record mapping: the decoders that have names agree on which of them bring which column."""

import json

import pytest

from logriver import clock
from logriver.columns import ALIASES, DECODED_COLUMNS
from tests.decode.decoding import decoded

NAMES = [column.name for column in DECODED_COLUMNS]
VALUES = {"timestamp": "2025-02-03T04:05:06Z", "level": "WARNING"}
PAIRS = [(one, other) for one in ALIASES for other in ALIASES if one != other and ALIASES[one] == ALIASES[other]]


def row_of(format: str, line: str) -> dict[str, str]:
    row = dict(zip(NAMES, decoded(format, f"{line}\n".encode()).rows.decode().rstrip("\n").split("\t"), strict=True))
    return row | {"attributes": json.dumps(json.loads(row["attributes"]), sort_keys=True)}


def rows_of(fields: dict[str, str]) -> list[dict[str, str]]:
    line = " ".join(f"{name}={value}" for name, value in fields.items())
    return [row_of("json", json.dumps(fields)), row_of("logfmt", line)]


@pytest.mark.parametrize("name", ALIASES)
def test_each_name_brings_its_column_in_every_decoder(name: str) -> None:
    column = ALIASES[name]
    for row in rows_of({"port": "80", "message": "m"} | {name: VALUES.get(column, "v")}):
        expected = {"timestamp": str(clock.from_text(VALUES["timestamp"])), "level": "warn"}.get(column, "v")
        if column != "message" or name == "message":
            assert row[column] == expected
            assert json.loads(row["attributes"]) == {"port": "80"}


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_of_two_names_of_a_column_the_same_wins(one: str, other: str) -> None:
    values = ("2025-02-03T04:05:06Z", "2025-02-03T04:05:07Z") if ALIASES[one] == "timestamp" else ("info", "debug")
    ours, theirs = rows_of({"message": "m", "port": "80"} | dict(zip((one, other), values, strict=True)))
    assert ours == theirs
