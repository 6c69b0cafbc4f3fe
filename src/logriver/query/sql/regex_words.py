"""Whole words that every match of a regular expression holds: the text index finds them, the expression does the rest.

Only what is plain is understood. Whatever else a pattern has makes no words or ends a word, never the other way round.
"""

import re

_PIECE = re.compile(
    r"""(?P<class>\\[dDwWsSbBAz] | \[\^?\]?(?:\\.|\[:\^?\w+:\]|[^\]\\\[])*\] | [.^$])
    | \\(?P<escaped>[!-/:-@[-`{-~])
    | (?P<quantifier>[*+?] | \{[0-9]+(?:,[0-9]*)?\})
    | (?P<open>\((?!\?))
    | (?P<close>\))
    | (?P<plain>[^\\\[\](){}|*+?.^$])""",
    re.VERBOSE | re.DOTALL,
)
_UNKNOWN = "\N{REPLACEMENT CHARACTER}"
# Beyond ASCII a word may go on; what is unknown is such a character too.
_WORD = re.compile(r"(?<=[\x00-/:-@\[-`{-\x7f])[0-9A-Za-z]+(?=[\x00-/:-@\[-`{-\x7f])")


def words_of(pattern: str) -> list[str]:
    """Words that stand in every text in which `pattern` (RE2) matches; none where that is hard to tell."""
    characters: list[str] = []
    depth = at = 0
    while at < len(pattern):
        found = _PIECE.match(pattern, at)
        # Alternatives outside of groups, flags, classes by name, numbers of characters.
        if found is None and not (depth and pattern[at] == "|"):
            return []
        kind, text = (found.lastgroup, found[0]) if found else ("class", "|")
        at += len(text)
        depth += (kind == "open") - (kind == "close")
        if kind == "quantifier":
            characters[-1:] = [_UNKNOWN]
        elif depth or kind not in ("escaped", "plain"):
            characters.append(_UNKNOWN)
        else:
            characters.append(text[-1])
    return list(dict.fromkeys(_WORD.findall("".join(characters))))
