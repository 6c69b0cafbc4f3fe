"""The engine's errors as those of Logriver: distinguished by their numbers, in words that may be shown.

The numbers are those of ClickHouse's ErrorCodes.cpp.
"""

import re

from logriver.errors import BadQuery, DataRefused, QueryTooExpensive, StoreError

# Codes that are the data's fault: parsing, types, wrong data. All others (disk full, memory, too many parts, read-only)
# look like refusals and are not.
_DATA_CODES = frozenset({6, 25, 26, 27, 33, 38, 41, 53, 69, 70, 72, 117, 131, 349, 407})
NARROW = "ask for a shorter time range, or add a word, a level or a service"
_SIMPLER = "ask for fewer terms, fields or pipes"
_LIMITS = {
    159: ("time", f"{NARROW}; setting query_timeout"),
    160: ("time", f"{NARROW}; setting query_timeout"),
    241: ("memory", f"{NARROW}, or group or sort by a field with fewer values; setting max_query_memory_bytes"),
    307: ("bytes read", NARROW),
    396: ("result size", f"{NARROW}, or add a limit"),
    158: ("rows read", NARROW),
    167: ("depth", _SIMPLER),
    168: ("length", _SIMPLER),
    306: ("depth", _SIMPLER),
}
_CODE = re.compile(r"Code: (\d+)\. DB::Exception: ")

_BAD_REGEX = 427
# The engine reads no more of a query, and then finds an error of syntax at its end.
_TOO_LONG = "Max query size exceeded"
_REGEX_REASON = re.compile(r", error: (.{1,200}?)(?:\. Look at |$)", re.DOTALL)
NO_SPACE = 243
_PART = re.compile(r"[/ `'](\d+_\d+_\d+_\d+(?:_\d+)?)(?=[/ `':.,)])")
_PATH = re.compile(r"(?<![\w./])(?:/[\w.@-]+){2,}/?")
_MOST_DETAIL = 1_000


def translated(error: Exception) -> Exception:
    """What to raise in the place of an error of the engine."""
    text = str(error)
    found = _CODE.search(text)
    code = int(found[1]) if found else 0
    message = text[found.end() :] if found else text
    if code == _BAD_REGEX:
        reason = _REGEX_REASON.search(message)
        return BadQuery(f"the regular expression cannot be read: {reason[1] if reason else message[:200]}")
    if message.startswith(_TOO_LONG):
        code = 168
    if code in _LIMITS:
        limit, hint = _LIMITS[code]
        # Of a text that is too long or too deep the engine quotes its own text and settings.
        detail = "" if hint == _SIMPLER else f": {_PATH.sub('(path)', message)[:200]}"
        return QueryTooExpensive(f"the query met its limit of {limit}{detail}", hint=hint)
    detail, parts = message[:_MOST_DETAIL], tuple(dict.fromkeys(_PART.findall(text)))
    if code in _DATA_CODES:
        return DataRefused("the store cannot read a value of the data", engine_code=code, detail=detail, parts=parts)
    return StoreError(_in_words(code), engine_code=code, detail=detail, parts=parts)


def _in_words(code: int) -> str:
    if code == NO_SPACE:
        return "no space is left on the disk"
    return f"the store cannot do this now (engine error {code})" if code else "the store cannot do this now"
