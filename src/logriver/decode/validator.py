"""The JSON validator: whether the engine can read all of a record, so that it is found by its fields.

The engine reads attributes with simdjson, so simdjson is asked, over a whole slice of lines at once: the lines become
one array, which costs a tenth of a full decode. Only when that fails is each line asked alone.
"""

import msgspec
import simdjson

MAX_NESTING = 128
MAX_KEYS = 10_000

# simdjson gives up at 1024 levels. Wrapping what is checked in this many arrays makes it give up at MAX_NESTING + 1
# (an empty innermost object or array does not count).
_WRAP = 1023 - MAX_NESTING
_OPEN, _CLOSE = b"[" * _WRAP, b"]" * _WRAP

# A key takes at least five bytes (`"":0,`), so shorter records cannot have too many.
LONG_RECORD_BYTES = 5 * MAX_KEYS

_REASONS = {
    "NUMBER_ERROR": "a number is outside of 64 bits",
    "BIGINT_ERROR": "an integer is outside of 64 bits",
    "STRING_ERROR": "a string has a broken escape or half a surrogate pair",
    "UNESCAPED_CHARS": "a string has a raw control character",
    "UTF8_ERROR": "not valid UTF-8",
    "DEPTH_ERROR": f"nested deeper than {MAX_NESTING}",
}


class JsonValidator:
    """Asks simdjson. Not for two threads at once."""

    def __init__(self) -> None:
        self._parser = simdjson.Parser()

    def fits(self, lines: bytes) -> bool:
        """Whether every line of `lines` (JSON values, no empty lines, no newline at the end) fits.

        A "yes" holds only if each line is also a JSON value of its own, which the decoder finds out.
        """
        return self._refusal(b"%b%b%b" % (_OPEN, lines.replace(b"\n", b","), _CLOSE)) is None

    def refusal(self, record: bytes) -> str | None:
        """Why one record does not fit, None if it does."""
        may_be_deep = record.count(b"[") + record.count(b"{") > MAX_NESTING
        refusal = self._refusal(_OPEN + record + _CLOSE if may_be_deep else record)
        if refusal is None and len(record) >= LONG_RECORD_BYTES:
            refusal = _too_many_keys(record)
        return refusal

    def _refusal(self, document: bytes) -> str | None:
        try:
            # The parsed document must be gone before the parser is used again.
            self._parser.parse(document)
        except (ValueError, RuntimeError) as error:
            text = error.reason if isinstance(error, UnicodeDecodeError) else str(error)
            return _REASONS.get(text.partition(":")[0], "not JSON")
        return None


def _too_many_keys(record: bytes) -> str | None:
    keys = 0
    waiting = [msgspec.json.decode(record)]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            keys += len(value)
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
    return f"{keys} keys, more than {MAX_KEYS}" if keys > MAX_KEYS else None
