"""Conditions to tokens, with the rules for pasted text.

What looks pasted is text: an operator, a bracket, a minus sign, a field's name, a star count only where a term begins.
After `field:` stands a value, which has comparisons, ranges and stars of its own; in `field:( .. )` each term is one.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from lark import Token

from logriver.errors import BadQuery
from logriver.query.language.reader import NAME, PIPE, Reader, name_of
from logriver.query.language.tree import OPERATORS, UNCLEAR_BOUND

MAX_DEPTH = 50
"""Brackets and negations inside of each other; the engine's own limits are higher."""

_BOUND_HINT = (
    "numbers have no unit here, how long ago is said beside the text (from, --since); "
    "two comparisons are like n:>5 n:<8 or n:[5 TO 8]; in quotes it is a text"
)
RANGE_HINT = "a range is like [1 TO 5] or {1 TO *]; for a text that begins with a bracket use quotes"

_AFTER_COLON = r"(?![\s:\\]|//|\Z)"
_FIELD = re.compile(rf"{NAME}:{_AFTER_COLON}")
_ANY = re.compile(rf"\*:{_AFTER_COLON}")
_MATCHES = re.compile(rf'{NAME}?=~(?=")')
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_QUOTED_PIECES = re.compile(rf"\*+{_QUOTED}|{_QUOTED}\*", re.DOTALL)
_WORD_PIECES = re.compile(r'\*+\w[^":]*|[^":]*\w\*+|\*+[^":*][^":]*\*+')
_STARS = re.compile(r"\*+")
_STAR_AND_SPACES = re.compile(r"\*\s*")
_JOINS = re.compile(r"\s(?:AND|OR)(?=\s|\Z)")
# A star or a sign of a comparison only where no pasted text has it: not in `-*- coding -*-`.
_NEGATES = re.compile(rf'-(?=[\w"(`]|@\w[\w.@]*:{_AFTER_COLON}|=~"|\*:{_AFTER_COLON}|\*+\w)')
_NOT_BEFORE_BRACKET = re.compile(r"NOT(?=\()")
_EMPTY_BRACKETS = re.compile(r"\(\s*\)")
_COMPARE = re.compile(r"[<>]=?")
_RANGE_OPEN = re.compile(r"[\[{]")
_RANGE_CLOSE = re.compile(r"[\]}]")
_BOUND = re.compile(r'[^\s"\]}]+')
_TO = re.compile(r'TO(?=[\s"\]}]|\Z)')

_BEFORE_A_TERM = frozenset({"", "_OPEN", "_AND", "_OR", "_NOT"})


def _clear(bound: str, position: int) -> str:
    if UNCLEAR_BOUND.fullmatch(bound):
        raise BadQuery(f"{bound[:60]!r} is no value to compare with", position=position, hint=_BOUND_HINT)
    return bound


@dataclass(frozen=True, slots=True)
class _Bracket:
    """An open bracket: where, how deep it is outside of it, and whether it stands after `field:`."""

    position: int
    depth: int
    of_values: bool


class ConditionLexer:
    """Reads conditions up to a pipe or the end of the text."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._open: list[_Bracket] = []
        self._depth = 0  # of the brackets that are open, with the negations before them
        self._negations = 0  # just before this place
        self._last = ""  # the kind of the last token

    def tokens(self) -> Iterator[Token]:
        """Everything to the end or the pipe. Raises `BadQuery` with the position."""
        yield from self._until_closed(0)

    def in_brackets(self) -> Iterator[Token]:
        """The bracket that stands here, what it holds, and its end."""
        yield self._bracket(of_values=False)
        yield from self._until_closed(1)

    def _until_closed(self, brackets: int) -> Iterator[Token]:
        reader = self._reader
        while len(self._open) >= brackets:
            reader.skip_blanks()
            if reader.at_end or reader.sees(PIPE):
                break
            for token in self._next():
                self._last = token.type
                yield token
            if self._last != "_NOT":
                self._negations = 0
        if self._open:
            raise BadQuery(
                "the bracket is not closed",
                position=self._open[-1].position,
                hint="add a ')', or quotes around the text",
            )

    def _next(self) -> Iterator[Token]:
        reader, start = self._reader, self._reader.at
        if reader.sign == "(" and not reader.sees(_EMPTY_BRACKETS):
            yield self._bracket(of_values=self._in_values)
        elif reader.sign == ")" and self._open:
            yield self._closed()
        elif reader.take(_NEGATES) or reader.take(_NOT_BEFORE_BRACKET):
            yield self._negation(start)
        elif self._in_values:
            yield from self._value_in_brackets()
        else:
            yield from self._term()

    @property
    def _in_values(self) -> bool:
        return bool(self._open) and self._open[-1].of_values

    # -- brackets and operators ----------------------------------------------------------------------------------------

    def _bracket(self, of_values: bool) -> Token:
        start = self._reader.at
        self._open.append(_Bracket(start, self._depth, of_values))
        self._depth += self._negations + 1
        self._negations = 0
        self._check_depth(start)
        self._reader.at += 1
        return self._reader.token("_OPEN", "(", start)

    def _closed(self) -> Token:
        start = self._reader.at
        self._depth = self._open.pop().depth
        self._reader.at += 1
        return self._reader.token("_CLOSE", ")", start)

    def _negation(self, start: int) -> Token:
        self._negations += 1
        self._check_depth(start)
        return self._reader.token("_NOT", "NOT", start)

    def _check_depth(self, position: int) -> None:
        if self._depth + self._negations > MAX_DEPTH:
            raise BadQuery(f"brackets and negations go at most {MAX_DEPTH} deep", position=position)

    def _operator_or(self, kind: str, word: str, start: int) -> Token:
        """The operator that a bare `word` is, else a token of `kind`."""
        if word == "NOT":
            return self._negation(start)
        if word in OPERATORS:
            return self._reader.token(f"_{word}", word, start)
        return self._reader.token(kind, word, start)

    # -- terms ---------------------------------------------------------------------------------------------------------

    def _term(self) -> Iterator[Token]:
        reader, start = self._reader, self._reader.at
        if self._star_alone():
            reader.at += 1
            yield reader.token("ALL", "*", start)
        elif reader.sign == '"' or reader.sees(_QUOTED_PIECES):
            yield self._quoted()
        elif found := reader.take(_MATCHES):
            name = name_of(found) if found["plain"] or found["odd"] else None
            yield reader.token("MATCHES", name, start)
            yield self._quoted_text()
        elif self._value_follows(_ANY):
            reader.take(_ANY)
            yield reader.token("ANY", "*", start)
            yield from self._value()
        elif self._value_follows(_FIELD) and (found := reader.take(_FIELD)):
            yield reader.token("FIELD", name_of(found), start)
            yield from self._value()
        else:
            yield self._word()

    def _star_alone(self) -> bool:
        """A star between operators is everything; any other is a sign to search for, as in `SELECT * FROM`."""
        found = self._reader.sees(_STAR_AND_SPACES)
        if not found or self._last not in _BEFORE_A_TERM:
            return False
        return self._ends_at(found.end()) or _JOINS.match(self._reader.text, found.end() - 1) is not None

    def _value_follows(self, pattern: re.Pattern[str]) -> bool:
        found = self._reader.sees(pattern)
        return found is not None and not self._ends_at(found.end())

    def _ends_at(self, at: int) -> bool:
        """The conditions, or the brackets around this place, end at `at`."""
        text = self._reader.text
        return at == len(text) or PIPE.match(text, at) is not None or (text[at] == ")" and bool(self._open))

    def _word(self) -> Token:
        start = self._reader.at
        word = self._bare()
        if _WORD_PIECES.fullmatch(word):
            return self._reader.token("PIECES", tuple(_STARS.split(word)), start)
        return self._operator_or("TEXT", word, start)

    def _quoted(self) -> Token:
        """A text in quotes; with stars beside it, pieces of one."""
        reader, start = self._reader, self._reader.at
        if not reader.sees(_QUOTED_PIECES):
            return self._quoted_text()
        pieces = [""]
        while reader.sign == "*" or (reader.sign == '"' and not pieces[-1]):
            if reader.take(_STARS):
                pieces.append("")
            else:
                pieces[-1] = reader.quoted()
                if not pieces[-1]:
                    raise BadQuery("there is nothing in the quotes", position=reader.at - 2)
        return reader.token("PIECES", tuple(pieces), start)

    def _quoted_text(self) -> Token:
        start = self._reader.at
        return self._reader.token("TEXT", self._reader.quoted(), start)

    # -- values --------------------------------------------------------------------------------------------------------

    def _value(self) -> Iterator[Token]:
        """What stands after `field:`."""
        reader = self._reader
        if reader.sign == "(" and not reader.sees(_EMPTY_BRACKETS):
            yield self._bracket(of_values=True)
        else:
            yield from self._one_value(self._literal_value)

    def _value_in_brackets(self) -> Iterator[Token]:
        yield from self._one_value(lambda word, start: self._operator_or("TEXT", word, start))

    def _literal_value(self, word: str, start: int) -> Token:
        return self._reader.token("TEXT", word, start)

    def _one_value(self, token_of_word: Callable[[str, int], Token]) -> Iterator[Token]:
        reader, start = self._reader, self._reader.at
        if reader.sees(_COMPARE):
            yield from self._comparison()
        elif reader.sees(_RANGE_OPEN):
            yield from self._range()
        elif reader.sign == '"' or reader.sees(_QUOTED_PIECES):
            yield self._quoted()
        else:
            word = self._bare()
            pieces = tuple(_STARS.split(word))
            if len(pieces) == 1:
                yield token_of_word(word, start)
            elif any(pieces):
                yield reader.token("PIECES", pieces, start)
            else:
                yield reader.token("STAR", "*", start)

    def _comparison(self) -> Iterator[Token]:
        reader, start = self._reader, self._reader.at
        found = reader.take(_COMPARE)
        yield reader.token("COMPARE", found and found[0], start)
        reader.skip_blanks()
        if reader.sign == '"':
            yield self._quoted_text()
        elif not self._ends_at(reader.at):
            start = reader.at
            yield self._literal_value(_clear(self._bare(), start), start)

    def _range(self) -> Iterator[Token]:
        """`[a TO b}`, its words one after the other; the grammar knows their order."""
        reader, start = self._reader, self._reader.at
        opening = reader.take(_RANGE_OPEN)
        yield reader.token("RANGE_OPEN", opening and opening[0], start)
        while True:
            reader.skip_blanks()
            start = reader.at
            if closing := reader.take(_RANGE_CLOSE):
                yield reader.token("RANGE_CLOSE", closing[0], start)
                return
            if reader.at_end:
                raise BadQuery("the range is not closed", position=start, hint=RANGE_HINT)
            if reader.sign == '"':
                yield self._quoted_text()
            elif reader.take(_TO):
                yield reader.token("_TO", "TO", start)
            elif found := reader.take(_BOUND):
                yield reader.token("STAR" if found[0] == "*" else "TEXT", _clear(found[0], start), start)

    def _bare(self) -> str:
        """Up to a space, a pipe or the bracket that closes the group; brackets that open inside of it belong to it."""
        reader, start, inside = self._reader, self._reader.at, 0
        text = reader.text
        while not reader.at_end and not reader.sign.isspace():
            sign = reader.sign
            if (sign == ")" and not inside and self._open) or (sign == "|" and reader.sees(PIPE)):
                break
            inside += (sign == "(") - (sign == ")" and inside > 0)
            reader.at += 1
        return text[start : reader.at]
