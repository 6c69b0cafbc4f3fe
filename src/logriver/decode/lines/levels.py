"""Where a line of text has its level, and what the spelling means.

After a time the level stands in brackets (`[error]`, Apache's `[core:error]`), before a colon or between separators in
any spelling, in capitals as one of the first four words (a process, a thread or a logger's name may come before it), as
`level=warn`, or as a letter in the places where Android and MongoDB have it. A line without a time has it as its very
first word.
"""

import re
from functools import lru_cache

from logriver.columns import SYSLOG_LEVELS, level_of

_WORDS = (
    "trace|debug|information|info|notice|warning|warn|error|err|critical|crit|fatal|alert|emergency|emerg|panic"
    "|severe|verbose"
)
CAPITALS = (
    f"{_WORDS.upper()}|DEBUG[1-5]|FINEST|FINER|FINE|CONFIG|SUCCESS|FAILURE|INF|DBG|WRN|VRB|FTL|TRC|FTA|LOG(?=:)|NOTE"
)
"""Levels that are recognised where they are written in capitals, as alternatives of a pattern."""
_ANY_CASE = f"{_WORDS}|{_WORDS.title()}"
_SKIPPED = r"(?:\[[^\]]{0,99}+\][\s|]*+|[^\s\[|][^\s|]{0,99}+[\s|]++)(?:[:-]\s++)?+"
_NAMED = r'(?:level|lvl|severity)="?(\w{1,20}+)'

_ENDED = r"(?=[\s\]):>|,/*]|$)"
# What most lines have comes first, and what cannot be there is left out by its first character.
AFTER_TIME = re.compile(
    r"[\s\]|:,*-]*+(?:"
    rf"(?:\d{{1,10}}+ ++)?+(?=[A-Z])({CAPITALS}){_ENDED}"
    r"|(?!\d)(?:"
    rf"[\[<]?(?:\w{{1,99}}+:)?({_ANY_CASE})(?:\s*+[\]:|>]|\s{{2}}|\t|\s-\s)"
    r"|([DIWEF])\d?+ ++[A-Z-]{1,20}+ ++\["
    r"|([VDIWEFA])/[^(:]{1,99}+\( *+\d{1,10}+\):"
    rf"|PHP ({_WORDS.title()}|Notice|Deprecated))"
    r"|(?:[a-z_]\w{0,20}+ ++)?+\d{1,10}+ ++\d{1,10}+ ++([VDIWEFA]) "
    rf"|(?:{_SKIPPED}){{0,3}}?(?:[\[(<*]?(?:\w{{1,99}}+[.:])?(?=[A-Z])({CAPITALS}){_ENDED}"
    rf"|\[({_ANY_CASE}|Note|System) ?\]|(?=[ls]){_NAMED}|%[A-Z\d_]{{1,40}}+(-[0-7]-))"
    r")",
    re.ASCII,
)
"""The level is the only one of its groups that is not empty, and the last; matches from the end of the time on."""
_FIRST_WORD = re.compile(
    rf"\[ *+({_ANY_CASE}|{CAPITALS}) *+\]|({_ANY_CASE}|trce|dbug|fail|crit):|({CAPITALS})(?=[\s:]|$)"
    r"|(TRAC|DEBU|INFO|WARN|ERRO|FATA|PANI)\[\d{4}"
    r"|([VDIWEFA])/[^(:]{1,99}+\( *+\d{1,10}+\):"
    rf"|(<\d{{1,3}}>)|{_NAMED}",
    re.ASCII,
)

SYSLOG_WORDS = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
_MEANINGS = {
    **dict.fromkeys(("v", "t", "vrb", "verbose", "trc", "trce", "trac", "finer", "finest"), "trace"),
    **dict.fromkeys(("d", "dbg", "dbug", "debu", "fine", "config", ".", "-"), "debug"),
    **{f"debug{depth}": "debug" for depth in range(1, 6)},
    **dict.fromkeys(("i", "inf", "log", "note", "system", "success", "*"), "info"),
    **dict.fromkeys(("w", "wrn", "deprecated", "#"), "warn"),
    **dict.fromkeys(("e", "erro", "severe", "fail", "failure"), "error"),
    **dict.fromkeys(("f", "a", "c", "ftl", "fta", "fata", "pani", "emergency"), "fatal"),
}


def after_time(text: str, position: int) -> str:
    """The level as spelled in `text`, the time of which ends at `position`; empty if there is none."""
    found = AFTER_TIME.match(text, position)
    return found[found.lastindex or 0] if found else ""


def first_word(text: str) -> str:
    """The same for a line without a time."""
    found = _FIRST_WORD.match(text)
    return found[found.lastindex or 0] if found else ""


@lru_cache(1024)
def meaning(sent: str) -> tuple[str, str]:
    """The columns `level` and `_level` for a level as a line has it.

    Syslog's `<priority>` and Cisco's `-severity-` are numbers; they are kept as the words that syslog has for them.
    """
    if sent[:1] == "<" or (sent[:1] == "-" and len(sent) == 3):
        severity = int(sent[1:-1]) & 7
        level, sent = SYSLOG_LEVELS[severity], SYSLOG_WORDS[severity]
    else:
        level = _MEANINGS.get(sent.lower()) or level_of(sent)
    return level, "" if level == sent else sent
