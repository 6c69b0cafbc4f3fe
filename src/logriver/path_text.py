r"""How a path is written where text is needed: in the ledger, in records, in answers, on the page, in settings.

A file's name is bytes, and text is UTF-8. A byte that is not part of valid UTF-8 is written `\xHH` (two hexadecimal
digits, lower case), and a backslash that stands before `x` and two such digits is written `\x5c`, so that two paths are
never written alike. Every other path is its own spelling. Read back, `\xHH` is that byte, whichever it is.

Paths inside are `str` as `os.fsdecode` makes them: what is not UTF-8 in them cannot be encoded, so it must not leave.
"""

import os
import re

_LIKE_AN_ESCAPE = re.compile(rb"\\(?=x[0-9a-fA-F]{2})")
_ESCAPE = re.compile(rb"\\x([0-9a-fA-F]{2})")


def text_of(path: str) -> str:
    """The spelling of a path: valid UTF-8 whatever the path is."""
    if path.isascii() and "\\" not in path:
        return path
    return _LIKE_AN_ESCAPE.sub(rb"\\x5c", os.fsencode(path)).decode("utf-8", "backslashreplace")


def path_of(text: str) -> str:
    """The path that is spelled so. Raises `ValueError` for text that no path can have."""
    if "\\" not in text and text.isascii():
        return text
    return os.fsdecode(_ESCAPE.sub(lambda found: bytes.fromhex(found[1].decode()), os.fsencode(text)))


def spelled(text: str) -> str:
    """A spelling that somebody typed: bytes in it that are not UTF-8 are written out, nothing else is changed."""
    return text if text.isascii() else os.fsencode(text).decode("utf-8", "backslashreplace")


def printable(text: str) -> str:
    r"""The spelling for a line that people read: what a terminal would obey, or would not show, is written `\xHH`.

    Read back, it is the same path.
    """
    return text if text.isprintable() else "".join(map(_printable_letter, text))


def _printable_letter(letter: str) -> str:
    if letter.isprintable():
        return letter
    if "\ud800" <= letter < "\udc80":
        # In no path: half of a letter, as JSON can have it.
        return f"\\u{ord(letter):04x}"
    return "".join(f"\\x{byte:02x}" for byte in letter.encode("utf-8", "surrogateescape"))
