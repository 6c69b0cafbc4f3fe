"""What the language makes of one more pipe (`dedup.py`). Run by `test_registry.py`, in a process that registered it."""

import pytest

from logriver.cli.pipes import conditions_of, make_table, pipes_of
from logriver.errors import BadQuery
from logriver.query.hints import hints, suggest
from logriver.query.language import parser
from logriver.query.language.text import search_text
from logriver.query.pipes.row_pipes import row_pipes
from logriver.query.pipes.statistic import statistic
from logriver.query.sql.conditions import condition
from tests.query.pipes.dedup import Dedup

TEXT = "error | stats count() as n by service, level | sort n | dedup service, `by` | limit 3"


def test_it_is_read_and_written() -> None:
    search = parser.parse(TEXT)
    assert search.pipes[2] == Dedup(("service", "by"))
    assert search_text(search) == TEXT
    assert TEXT[search.places[2] :].startswith("| dedup")


def test_it_works_on_a_table() -> None:
    search = parser.parse("error | stats count() as n by service, level | sort n | dedup service | where n > 1")
    sql = statistic(search, condition(search.where), "UTC", True, 10).sql
    assert "ORDER BY nc2, nc2 DESC, " in sql
    assert "LIMIT 1 BY nc0) WHERE" in sql


@pytest.mark.parametrize(
    ("text", "message", "position"),
    [
        ("error | dedup service", "the pipe 'dedup' gives no records", 6),
        ("error | stats count() | dedup", "expected a name at the end", 29),
        ("error | stats dedup", "expected a function like 'count()' before 'dedup'", 14),
    ],
)
def test_what_is_wrong_with_it_is_said(text: str, message: str, position: int) -> None:
    with pytest.raises(BadQuery) as refused:
        row_pipes(parser.parse(text))
    assert (refused.value.message, refused.value.position) == (message, position)


def test_its_example_is_the_hint() -> None:
    with pytest.raises(BadQuery) as refused:
        parser.parse("error | dedup")
    assert refused.value.hint == "for example: | dedup service"


def test_its_columns_are_completed() -> None:
    typed = suggest.complete("error | stats count() by service | dedup se", 43)
    assert (typed.kind, typed.prefix, typed.columns) == ("column", "se", ("service", "count()"))


@pytest.mark.parametrize("called", ["distinct", "dedub", "DEDUP"])
def test_other_names_for_it_are_understood(called: str) -> None:
    meant = hints.other_pipes(f"error | {called} service")
    assert meant is not None
    assert meant.pipes == (Dedup(("service",)),)


def test_the_command_line_knows_it() -> None:
    assert (pipes_of(TEXT)[2], conditions_of("a | dedup b")) == ("dedup", "a ")
    assert make_table(pipes_of(TEXT)) == ["stats"]
