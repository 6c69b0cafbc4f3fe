"""A pipe is one class: what all pipes are held to, and that one more works once it is in the registry."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from logriver.query.language import parser
from logriver.query.language.text import search_text
from logriver.query.pipes.pipe import Pipe
from logriver.query.pipes.registry import PIPES

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "src/logriver/ui/helpers/language.js").read_text()
DOCUMENT = (ROOT / "docs/reference/search.md").read_text()

every_pipe = pytest.mark.parametrize("pipe", PIPES.values(), ids=PIPES)


def listed(pattern: str) -> list[str]:
    """The pipes in the first alternative of the page's script that `pattern` leads to."""
    found = re.search(pattern + r"\((?:\?:)?([a-z|]+)\)", PAGE)
    assert found, pattern
    return found[1].split("|")


@every_pipe
def test_its_example_is_one(pipe: type[Pipe]) -> None:
    made = parser.parse(f"* | stats count() as n, count() as ok {pipe.example}").pipes[1]
    assert type(made) is pipe
    assert made.text().split()[0] == pipe.keyword
    assert parser.parse(search_text(parser.parse(f"* {pipe.example}"))).pipes == parser.parse(f"* {pipe.example}").pipes


@every_pipe
def test_it_is_in_the_documentation(pipe: type[Pipe]) -> None:
    assert re.search(rf"\| {pipe.keyword}\b", DOCUMENT.partition("## Pipes")[2].partition("## Coming from")[0])
    assert f"`{pipe.keyword}`" in DOCUMENT.partition("Which call takes which pipes")[2].partition("##")[0]


@every_pipe
def test_what_other_languages_call_it_is_none_here_and_can_be_read(pipe: type[Pipe]) -> None:
    for name, written in pipe.elsewhere:
        assert name not in PIPES
        assert written.split()[0] == pipe.keyword


def test_the_page_knows_the_same_pipes() -> None:
    make_tables = [keyword for keyword, pipe in PIPES.items() if pipe.makes_table]
    assert sorted(listed(r"const PIPE = /\\s\*\\\|\\s\*")) == sorted(PIPES)
    assert sorted(listed(r"return /\\\|\\s\*")) == sorted(make_tables)


def test_one_more_pipe_is_a_class_in_the_registry() -> None:
    """It has to be there before the language is loaded, so this is a process of its own."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.query.pipes.dedup", "tests/query/pipes/new_pipe.py"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout
    assert "11 passed" in done.stdout
