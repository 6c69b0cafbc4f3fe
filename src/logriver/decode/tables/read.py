r"""Reads the tables beside it.

Patterns are in the syntax that RE2 and Rust's `regex` share: no look-around, no possessive quantifier, no back
reference; `\s \d \w \b` mean ASCII. Of several ways to match, the first in the order of the alternatives counts, as in
Perl. A list of patterns is alternatives. `{name}` in a pattern stands for the part of that name, of the table itself or
of one that it `uses`.

An engine that backtracks, as Python's `re` does, is told two things more about parts (`Table.compiled`), so that a line
cannot hang it; patterns mean the same without. Of those that a table calls `unambiguous`, another way to match never
leads further. Those in `begins` begin with one of the characters there.
"""

import re
import tomllib
from functools import cache
from importlib.resources import files
from typing import Any

Pattern = str | list[str]

# One character or class repeated, or what ends with a group that is.
_REPEATED = re.compile(r"(?:\\.|\[(?:\\.|[^\]\\])+\]|[^\\\[])(?:[*+]|\{\d+,\d*\})|\(\?:.*\)[*?]", re.DOTALL)
_PART = re.compile(r"\{([a-z_]+)\}")


class Table:
    """One table: its `data` as the file has it, and its patterns with their parts put in."""

    def __init__(self, name: str) -> None:
        self.data: dict[str, Any] = tomllib.loads(files(__package__).joinpath(f"{name}.toml").read_text("utf-8"))
        self._parts: dict[str, Pattern] = {}
        self._unambiguous: set[str] = set()
        self._begins: dict[str, str] = {}
        for used in self.data.get("uses", []):
            self._parts |= table(used)._parts
            self._unambiguous |= table(used)._unambiguous
            self._begins |= table(used)._begins
        self._parts |= self.data.get("parts", {})
        self._unambiguous |= set(self.data.get("unambiguous", []))
        self._begins |= self.data.get("begins", {})

    def pattern(self, pattern: Pattern, *, backtracking: bool = False) -> str:
        """`pattern` with its parts put in, and theirs; raises `KeyError` for a part that there is none of.

        One for a `backtracking` engine is not in the shared syntax.
        """

        def part(found: re.Match[str]) -> str:
            name = found[1]
            text = self.pattern(self._parts[name], backtracking=backtracking)
            if not backtracking:
                return text
            if name in self._unambiguous:
                text = f"{text}+" if _REPEATED.fullmatch(text) else f"(?>{text})"
            return f"(?=[{self._begins[name]}])(?:{text})" if name in self._begins else text

        return _PART.sub(part, pattern if isinstance(pattern, str) else "|".join(pattern))

    def compiled(self, name: str) -> re.Pattern[str]:
        """The pattern called `name` for Python's `re`."""
        return re.compile(self.pattern(self.data[name], backtracking=True), re.ASCII)


@cache
def table(name: str) -> Table:
    """The table `NAME.toml`."""
    return Table(name)
