"""Regular expressions of users, for lines: RE2's, which take a time in proportion to the line whatever the pattern is.

RE2 costs several times as much a line as Python's `re` (`bench/user_formats.py`), and no line hangs it.
"""

from functools import lru_cache
from typing import Any

import re2

from logriver.errors import SettingsError


@lru_cache(256)
def line_pattern(pattern: str, of: str) -> Any:
    """`pattern` compiled for the bytes of lines, once for all files.

    Raises `SettingsError`, which says that it is the one `of` what.
    """
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0].decode("utf-8", "replace") if isinstance(error.args[0], bytes) else str(error)
        position = max(0, pattern.find(reason.partition(": ")[2]))
        raise SettingsError(
            f"the regular expression of {of} is wrong at character {position + 1}: {reason[:120]}",
            hint="RE2 has no look-around, no back references, and no \\Z",
            position=position,
        ) from None
