"""Search text to tree: tokens from `lexer.py`, the language in `grammar.lark` and the pipes, the tree by `to_tree.py`.

The grammar is read when this file is imported, so that no query waits for it. The LALR parser keeps no state between
texts and does not recurse: a text with many brackets meets a limit of the lexer, never Python's.
"""

from collections.abc import Set
from dataclasses import replace
from pathlib import Path

from lark import Lark, UnexpectedToken

from logriver.errors import BadQuery
from logriver.query.language.condition_lexer import RANGE_HINT
from logriver.query.language.lexer import SearchLexer, pipe_places
from logriver.query.language.reader import PIPE
from logriver.query.language.to_tree import TO_TREE
from logriver.query.language.tree import OPERATORS, Search
from logriver.query.pipes.registry import PIPES, token_type


def _grammar() -> str:
    """The language with a rule for each pipe: its keyword, then what it says itself."""
    keywords = {token_type(keyword): pipe.rule for keyword, pipe in PIPES.items()}
    pipes = " | ".join(f"{keyword} {rule}" for keyword, rule in keywords.items())
    phrases = Path(__file__).with_name("grammar.lark").read_text()
    return f"{phrases}\npipe: {pipes}\n%declare {' '.join(keywords)}\n"


GRAMMAR = Lark(
    _grammar(),
    start="search",
    parser="lalr",
    lexer=SearchLexer,
    transformer=TO_TREE,
)

_IN_WORDS = {
    "FIELD": "a word or a field",
    "STAR": "a value",
    "RANGE_CLOSE": "']' or '}'",
    "_TO": "'TO'",
    "FUNCTION": "a function like 'count()'",
    "NAME": "a name",
    "DURATION": "a time like '5m'",
    "NUMBER": "a number",
    "TEXT": "a value",
    "EQUALS": "'='",
    "COMPARISON": "a comparison like '>'",
    "_COMMA": "','",
    "_OPEN": "'('",
    "_CLOSE": "')'",
    "_BY": "'by'",
    "_AS": "'as'",
    token_type("stats"): "a pipe",
}
"""What can be expected, by one token that stands for it."""
_SAY_IT_ALL = ("FIELD", "STAR")
"""Where these are expected, others are too, and their words name those as well."""


def parse(text: str) -> Search:
    """The tree of a search text; an empty text is everything. Raises `BadQuery` with the position."""
    try:
        search: Search = GRAMMAR.parse(text)  # type: ignore[assignment]
    except UnexpectedToken as error:
        raise _bad_query(error, text) from None
    return replace(search, places=tuple(pipe_places(text))) if search.pipes else search


def _bad_query(error: UnexpectedToken, text: str) -> BadQuery:
    at_end = error.token.type == "$END"
    position = len(text) if at_end else error.token.start_pos or 0
    sign = text[position : error.token.end_pos]
    place = "at the end" if at_end else f"before {sign[:30]!r}"
    message = f"expected {_expected(error.accepts)} {place}"
    return BadQuery(message, position=position, hint=_hint(text, error, position, sign))


def _expected(accepts: Set[str]) -> str:
    for kind in _SAY_IT_ALL:
        if kind in accepts:
            return _IN_WORDS[kind]
    *others, last = [words for kind, words in _IN_WORDS.items() if kind in accepts]
    return f"{', '.join(others)} or {last}" if others else last


def _hint(text: str, error: UnexpectedToken, position: int, sign: str) -> str:
    pipes = [found["pipe"] for found in PIPE.finditer(text, 0, position)]
    if pipes:
        return f"for example: {PIPES[pipes[-1]].example}"
    if error.accepts & {"_TO", "RANGE_CLOSE"}:
        return RANGE_HINT
    if sign in OPERATORS:
        return f"put {sign!r} into quotes to search for the word"
    return "put what is meant as text into quotes"
