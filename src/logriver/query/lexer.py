"""Search text to tokens.

A token is an operator (`AND`, `OR`, `NOT`, `-` as NOT, brackets) or a term. What looks pasted is a term of text: an
operator, a bracket, a minus sign, a field name count only at the start of a term.
"""

import re
from dataclasses import dataclass

from logriver.errors import BadQuery
from logriver.query.tree import OPERATORS, Everything, Field, Query, Text

MAX_LENGTH = 20_000
"""Characters of a search text."""

_BLANKS = re.compile(r"\s*")
_FIELD = re.compile(r"(?:([A-Za-z_@][\w.@]*)|`((?:[^`]|``)+)`):(?![\s:\\]|//|$)")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPED = re.compile(r'\\(["\\])')
_NEGATES = re.compile(r'-(?=[\w"(`])')
_EMPTY_BRACKETS = re.compile(r"\(\s*\)")
_PIPE = re.compile(r"\|\s*(stats|where|eval|top|sort|limit|fields|patterns)\b")
_REGEX = re.compile(r'(?:[A-Za-z_@][\w.@]*)?=~"')
_WILDCARD = re.compile(r"\*+\w.*|.*\w\*+")


@dataclass(frozen=True, slots=True)
class Token:
    """`kind` is `term`, `AND`, `OR`, `NOT`, `(`, `)` or `end`; `position` where it begins in the text."""

    kind: str
    position: int
    term: Query | None = None


def tokens(text: str) -> list[Token]:
    """All tokens of `text`, an `end` last. Raises `BadQuery` with the position."""
    if len(text) > MAX_LENGTH:
        raise BadQuery(f"a search text has at most {MAX_LENGTH} characters, this one has {len(text)}")
    if text.strip() == "*":
        return [Token("term", 0, Everything()), Token("end", len(text))]
    return _Lexer(text).run()


class _Lexer:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.open_brackets = 0
        self.found: list[Token] = []

    def run(self) -> list[Token]:
        while True:
            self._skip(_BLANKS)
            if self.at == len(self.text):
                return [*self.found, Token("end", self.at)]
            self._refuse_what_is_not_there_yet()
            if not self._bracket() and not self._minus():
                self._term()

    def _bracket(self) -> bool:
        """A bracket that groups; `()` is text, and so is a closing one without an opening one."""
        start, sign = self.at, self.text[self.at]
        if sign == "(" and not _EMPTY_BRACKETS.match(self.text, start):
            self.open_brackets += 1
        elif sign == ")" and self.open_brackets:
            self.open_brackets -= 1
        else:
            return False
        self.at += 1
        self.found.append(Token(sign, start))
        return True

    def _minus(self) -> bool:
        start = self.at
        if not self._skip(_NEGATES):
            return False
        self.found.append(Token("NOT", start))
        return True

    def _term(self) -> None:
        start = self.at
        if self.text[start] == '"':
            self.found.append(Token("term", start, Text(self._quoted())))
            return
        field = _FIELD.match(self.text, start)
        if field and not self._closes_group(field.end()):
            self.at = field.end()
            name = field[1] or field[2].replace("``", "`")
            self.found.append(Token("term", start, Field(name, self._value())))
            return
        word = self._bare()
        if word in OPERATORS:
            self.found.append(Token(word, start))
            return
        self.found.append(Token("term", start, Text(word)))

    def _value(self) -> str:
        """What stands after `field:`."""
        if self.text[self.at] == '"':
            return self._quoted()
        if self.text[self.at] in "([{<>":
            raise BadQuery("comparisons, ranges and lists of values are not supported yet", position=self.at)
        start = self.at
        value = self._bare()
        if "*" in value:
            raise BadQuery(
                "parts of a value are not supported yet",
                hint="put a value that holds a '*' into quotes",
                position=start + value.index("*"),
            )
        return value

    def _bare(self) -> str:
        """Up to a blank or the bracket that closes the group; brackets that open inside of the word belong to it."""
        start, inside = self.at, 0
        while self.at < len(self.text) and not self.text[self.at].isspace():
            sign = self.text[self.at]
            if sign == ")" and not inside and self.open_brackets:
                break
            inside += (sign == "(") - (sign == ")" and inside > 0)
            self.at += 1
        return self.text[start : self.at]

    def _quoted(self) -> str:
        found = _QUOTED.match(self.text, self.at)
        if not found:
            raise BadQuery("the quote is not closed", position=self.at, hint="add a '\"' at the end")
        self.at = found.end()
        return _ESCAPED.sub(r"\1", found[1])

    def _closes_group(self, at: int) -> bool:
        return self.open_brackets > 0 and self.text[at] == ")"

    def _refuse_what_is_not_there_yet(self) -> None:
        """Parts of the language that are planned must not mean something else until they are there."""
        if _PIPE.match(self.text, self.at):
            raise BadQuery("pipes are not supported yet", position=self.at)
        if _REGEX.match(self.text, self.at):
            raise BadQuery("regular expressions are not supported yet", position=self.at)
        word = self.text[self.at :].split(None, 1)[0]
        if '"' not in word and ":" not in word and _WILDCARD.fullmatch(word):
            raise BadQuery(
                "parts of words are not supported yet",
                hint="put a text that holds a '*' into quotes",
                position=self.at,
            )

    def _skip(self, pattern: re.Pattern[str]) -> bool:
        found = pattern.match(self.text, self.at)
        if not found:
            return False
        self.at = found.end()
        return True
