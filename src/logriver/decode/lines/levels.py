"""Where a line of text has its level, and what the spelling means.

After a time the level stands in brackets (`[error]`, Apache's `[core:error]`), before a colon or between separators in
any spelling, in capitals as one of the first four words (a process, a thread or a logger's name may come before it), as
`level=warn`, or as a letter in the places where Android and MongoDB have it. A line without a time has it as its very
first word.
"""

from functools import lru_cache

from logriver.decode.tables.read import table
from logriver.levels import SYSLOG_LEVELS, level_of

_LEVELS = table("levels")

AFTER_TIME = _LEVELS.compiled("after_time")
"""The level is the only one of its groups that is not empty, and the last; matches from the end of the time on."""
_FIRST_WORD = _LEVELS.compiled("first_word")

SYSLOG_WORDS: list[str] = _LEVELS.data["syslog_words"]
_MEANINGS = {spelling: level for level, spellings in _LEVELS.data["meanings"].items() for spelling in spellings}


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
    sent = sent.removesuffix(":")
    if sent[:1] == "<" or (sent[:1] == "-" and len(sent) == 3):
        severity = int(sent[1:-1]) & 7
        level, sent = SYSLOG_LEVELS[severity], SYSLOG_WORDS[severity]
    else:
        level = _MEANINGS.get(sent.lower()) or level_of(sent)
    return level, "" if level == sent else sent
