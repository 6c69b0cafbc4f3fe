"""Search text to tokens, for the grammar in `grammar.lark`.

The lexer is our own because what a sign means depends on what stands before it: pasted text must stay text
(`condition_lexer.py`), and pipes have other words than conditions (`pipe_lexer.py`).
"""

from collections.abc import Iterator
from typing import Any

from lark import Token
from lark.lexer import Lexer

from logriver.errors import BadQuery
from logriver.query.language.condition_lexer import ConditionLexer
from logriver.query.language.pipe_lexer import PipeLexer
from logriver.query.language.reader import Reader
from logriver.query.pipes.registry import PIPES, token_type

MAX_LENGTH = 20_000
"""Characters of a search text."""
MAX_TERMS = 500
"""Words, values, names and numbers in it."""

_PIPES = frozenset(map(token_type, PIPES))
_TERMS = frozenset({"TEXT", "PIECES", "ALL", "STAR", "NAME", "NUMBER", "DURATION", "FUNCTION"})


def tokens(text: str) -> Iterator[Token]:
    """The tokens of `text`. Raises `BadQuery` with the position, when it gets there."""
    if len(text) > MAX_LENGTH:
        raise BadQuery(f"a search text has at most {MAX_LENGTH} characters, this one has {len(text)}")
    terms = 0
    for token in _all_tokens(Reader(text)):
        terms += token.type in _TERMS
        if terms > MAX_TERMS:
            raise BadQuery(f"a search text has at most {MAX_TERMS} terms", position=token.start_pos)
        yield token


def pipe_places(text: str) -> Iterator[int]:
    """Where each pipe's name begins, in a text that is good."""
    return (token.start_pos or 0 for token in tokens(text) if token.type in _PIPES)


def _all_tokens(reader: Reader) -> Iterator[Token]:
    yield from ConditionLexer(reader).tokens()
    yield from PipeLexer(reader).tokens()


class SearchLexer(Lexer):
    """What lark asks for tokens; it makes one and calls `lex` with each text."""

    def __init__(self, lexer_conf: object) -> None:
        pass

    def lex(self, text: Any, parser_state: object = None) -> Iterator[Token]:
        """The tokens of `text`."""
        return tokens(text)
