"""Patterns of users as RE2, which the engine's `match` reads too."""

import re2

from logriver.errors import BadQuery


def compiled(pattern: str) -> "re2._Regexp":
    """As the engine reads it: a dot is a line end too. Raises `BadQuery` for what is no pattern."""
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    options.dot_nl = True
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0]
        reason = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        raise BadQuery(f"not a regular expression: {reason[:100]}", hint="the syntax is that of RE2") from None
