"""What is said of a statement that the engine does not accept: its mistake, and nothing of the engine's inside. Pure.

The engine's words name files, versions, its own statement and names that nobody wrote. So they are known by the error's
code: what is said of the codes below is the engine's first sentence where that is clean, else a sentence of our own; of
all others it is a sentence of our own.
"""

import re

from logriver.columns import TABLE

BAD_PATTERN = 427
"""The code of a regular expression that cannot be read; the store says itself what is wrong with it."""

_TYPES = "types do not go together"
_UNREADABLE = "a text is not what a function reads it as"
_TIMES = "a text is not the time or the day that it is read as"
_NUMBERS = "a number is out of range"
_COLUMNS = "the SELECTs that are joined have different numbers of columns"
PLAIN = {
    6: _UNREADABLE,
    8: "a column is not there",
    9: "columns or lists have different lengths",
    10: "a column is not there",
    12: "a parameter of a function is out of range",
    20: "a number of columns does not fit",
    32: _UNREADABLE,
    35: "a function has too few arguments",
    36: "a function does not take such an argument",
    38: _TIMES,
    41: _TIMES,
    42: "a function has another number of arguments",
    43: "a function does not take a value of such a type",
    44: "an argument has to be a constant",
    46: "there is no such function",
    47: "unknown expression identifier",
    48: "this is not available",
    50: "there is no such type",
    52: "a column is there twice",
    53: _TYPES,
    59: "a condition has to be true or false",
    62: "cannot be read",
    63: "there is no such aggregate function",
    69: _NUMBERS,
    70: "a value cannot be turned into such a type",
    72: "a text is not a number",
    73: "this is not available",
    80: "parts of the statement do not go together",
    117: "a value cannot be decoded",
    122: _TYPES,
    124: "what stands behind IN has other sizes",
    125: "a subquery that stands for a value gives more than one row",
    128: "a text or a list is too long",
    130: "a list cannot be read from a text",
    131: "a text is too long",
    134: "a function has too many arguments",
    135: "two columns have the same name",
    153: "division by zero",
    169: "a name is empty",
    174: "an alias stands for itself",
    179: "an alias stands for two expressions",
    183: "a name is there twice",
    184: "an aggregate function stands where none may",
    190: "lists have different lengths",
    206: "a subquery needs a name: (SELECT ..) AS name",
    207: "a name may mean several columns: write it with the name of its table",
    215: "a column has to be under an aggregate function or in GROUP BY",
    258: _COLUMNS,
    277: "a list behind IN cannot be made",
    321: "a value that may be null stands where none may",
    349: "a null stands where none may",
    352: "a name may mean several columns: write it with the name of its table",
    376: "a text is not a UUID",
    386: _TYPES,
    395: "a function fails on a value",
    403: "the condition of a JOIN cannot be used",
    407: _NUMBERS,
    BAD_PATTERN: "the regular expression cannot be read",
    436: "this is not available",
    440: "LIMIT and OFFSET take whole numbers",
    441: _TIMES,
    446: "this is not available",
    452: "this is not available",
    457: "a parameter is not what its type says",
    475: "WITH FILL cannot go in such steps",
    590: "a list of types does not fit",
    596: _COLUMNS,
    636: "a text is not what a function reads it as",
    675: "a text is not an address",
    676: "a text is not an address",
}
"""By the engine's code (ClickHouse's ErrorCodes.cpp): what is said where its own words cannot be shown."""

_UNKNOWN = "the engine does not accept this statement"

_BEGINNING = re.compile(r"^(?:Code: \d+\. )?(?:DB::\w+: )?")
# What the engine was doing, its own statement and its guesses: nothing behind these is shown.
_REST = re.compile(
    r"[:.,;]? *(?:[Ii]n scope|[Ii]n query|[Ww]hile executing|[Ww]hile processing|[Ww]hile converting|Maybe you meant|"
    r"Note: |Stack trace|\(version|You can|Look at|Please|If you|SETTINGS|SELECT |WITH )",
)
_NAME_OF_ERROR = re.compile(r"\.? *\([A-Z_0-9]+\)\s*$")
# The position is one in the text that the engine got, which the user did not write.
_SYNTAX = re.compile(r"Syntax error.*? position \d+ \((.*?)\): ", re.DOTALL)
_NOT_WRITTEN = frozenset({"SETTINGS", "end of query", ""})
_OWN_NAMES = re.compile(rf"\b(?:(?:default\.)?{TABLE}|__table\d+)\.(?=[\w`])")
_PATH = re.compile(r"(?<![\w./])(?:/[\w.@-]+){2,}/?")
_INSIDE = re.compile(
    r"__|_visible|DB::|\bFUNCTION\b|\(size = |Transform\b|Const\(|setting\b|\bCode: |chdb|[Cc]lick[Hh]ouse"
)
_SPACES = re.compile(r"\s+")
_MAX_MESSAGE = 300


def explained(code: int, message: str) -> str:
    """What a user is told of the engine's error `code`, which said `message`."""
    plain = PLAIN.get(code)
    if plain is None:
        return _UNKNOWN
    syntax = _SYNTAX.search(message)
    if syntax:
        at = syntax[1].strip()
        return (
            "cannot be read to its end"
            if at in _NOT_WRITTEN or _INSIDE.search(at)
            else f"cannot be read at '{at[:60]}'"
        )
    said = _NAME_OF_ERROR.sub("", _BEGINNING.sub("", message))
    said, *rest = _REST.split(said, maxsplit=1)
    is_cut = bool(rest) and said.endswith("(")
    said = _SPACES.sub(" ", _PATH.sub("(path)", _OWN_NAMES.sub("", said))).strip(" .:,")
    if not said or is_cut or len(said) > _MAX_MESSAGE or _INSIDE.search(said):
        return plain
    return said if said[:2].isupper() else said[:1].lower() + said[1:]
