"""docs/reference/search.md says what the server does: every example of it is asked here, on the records that it shows.

A table whose last column is `n` has search texts in its column `search` and the numbers of the records that each finds,
or how many rows it gives. A `search` block is followed by the table that it makes. `curl` lines are requests.
"""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RunningServer

DOCUMENT = (Path(__file__).parents[2] / "docs" / "reference" / "search.md").read_text()
RECORDS = re.findall(r"```ndjson\n(.*?)```", DOCUMENT, re.DOTALL)[0]
NUMBERS = [json.loads(line)["n"] for line in RECORDS.splitlines()]

Row = dict[str, str]


def cells(line: str) -> list[str]:
    """The cells of a table's line; a bar within one is escaped."""
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line.strip()[1:-1])]


def tables(text: str) -> list[list[Row]]:
    """The tables of a document, each line as a dictionary by the table's header."""
    blocks = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    lines = [[cells(line) for line in block.splitlines()] for block in blocks]
    return [[dict(zip(head, row, strict=True)) for row in rows] for head, _, *rows in lines]


def code(cell: str) -> list[str]:
    """The texts in backticks of a cell."""
    return [double or single for double, single in re.findall(r"`` (.+?) ``|`([^`]+)`", cell)]


ROWS = [row for table in tables(DOCUMENT) for row in table]
EXAMPLES = [(text, row["n"]) for row in ROWS if {"search", "n"} <= row.keys() for text in code(row["search"])]
BLOCKS = re.findall(r"```search\n(.*)\n```\n\n((?:\|.*\n)+)", DOCUMENT)
CURL = [line for block in re.findall(r"```sh\n(.*?)```", DOCUMENT, re.DOTALL) for line in block.splitlines()]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that has the document's records and no others."""
    server = RunningServer(tmp_path_factory.mktemp("document") / "data")
    answer = server.client.post("/api/v1/logs?wait=searchable", content=RECORDS)
    assert answer.json()["accepted"] == len(NUMBERS), answer.text
    yield server
    assert server.stop() == 0, server.log_path.read_text()[-2000:]


def made(running: RunningServer, q: str) -> dict[str, Any]:
    """The answer of the call that the pipes of `q` are for."""
    pipe = re.search(r"\| (stats|top|patterns)\b", q)
    call = {"stats": "stats", "top": "stats", "patterns": "patterns"}[pipe[1]] if pipe else "search"
    answer = running.client.get(f"/api/v1/{call}", params={"q": q})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def rows_of(answer: dict[str, Any]) -> list[dict[str, Any]]:
    if "columns" in answer:
        return [dict(zip(answer["columns"], row, strict=True)) for row in answer["rows"]]
    rows: list[dict[str, Any]] = answer["patterns" if "patterns" in answer else "rows"]
    return rows


def test_there_are_examples_of_everything() -> None:
    assert len(EXAMPLES) > 120
    assert len(BLOCKS) == DOCUMENT.count("```search") > 5
    assert [len(part.split("\n| `")) > 10 for part in DOCUMENT.split("## Coming from ")[1:]] == [True] * 3


@pytest.mark.parametrize(("q", "finds"), EXAMPLES, ids=[q for q, _ in EXAMPLES])
def test_an_example_finds_what_it_says(running: RunningServer, q: str, finds: str) -> None:
    rows = rows_of(made(running, q))
    if "row" in finds:
        assert finds == ("1 row" if len(rows) == 1 else f"{len(rows)} rows")
    else:
        assert sorted(row["n"] for row in rows) == (NUMBERS if finds == "all" else list(map(int, finds.split())))


def shown(value: Any) -> str:
    """A value as a cell of a table has it."""
    if value is None:
        return ""
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return f"`{text}`" if "<" in text else text


@pytest.mark.parametrize(("q", "table"), BLOCKS, ids=[q for q, _ in BLOCKS])
def test_a_pipe_makes_the_table_it_says(running: RunningServer, q: str, table: str) -> None:
    (wanted,) = tables(table)
    rows = rows_of(made(running, q))
    assert [{name: shown(row.get(name)) for name in wanted[0]} for row in rows] == wanted


@pytest.mark.parametrize("row", [row for row in ROWS if "hint_query" in row], ids=lambda row: str(row["nothing"]))
def test_a_hint_is_the_one_it_says(running: RunningServer, row: Row) -> None:
    (hint,) = code(row["hint_query"])
    for q in code(row["nothing"]):
        assert hint_of(running, q) == hint
    assert sorted(found["n"] for found in rows_of(made(running, hint))) == list(map(int, row["n"].split()))


def hint_of(running: RunningServer, q: str) -> str | None:
    """The text that is found near `q`. The time for it is short, and the machine may have other work: five attempts."""
    answers = (made(running, q) for _ in range(5))
    return next((answer["hint_query"] for answer in answers if answer["hint"]), None)


@pytest.mark.parametrize("row", [row for row in ROWS if "refused" in row], ids=lambda row: str(row["refused"]))
def test_a_mistake_is_answered_as_it_says(running: RunningServer, row: Row) -> None:
    (q,), (message,) = code(row["refused"]), code(row["message"])
    answer = running.client.get("/api/v1/stats" if "| stats" in q else "/api/v1/search", params={"q": q})
    error = answer.json()["error"]
    assert (answer.status_code, error["message"], error["position"]) == (400, message, int(row["position"]))


@pytest.mark.parametrize("line", CURL)
def test_a_request_is_answered(running: RunningServer, line: str) -> None:
    method, url, parameters, headers = "GET", "", {}, {}
    words = iter(shlex.split(line)[1:])
    for word in words:
        if word == "-X":
            method = next(words)
        elif word in ("-d", "--data-urlencode"):
            name, _, value = next(words).partition("=")
            parameters[name] = value
        elif word == "-H":
            name, _, value = next(words).partition(": ")
            headers[name] = value
        elif word not in ("--get", "-N"):
            url = word.removeprefix("http://127.0.0.1:3000")
    with running.client.stream(method, url, params=parameters or None, headers=headers) as answer:
        assert answer.status_code == 200
        assert next(answer.iter_raw())
