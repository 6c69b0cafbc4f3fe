"""Every escape that the SQL needs, and nothing else. Values are bound as parameters, never pasted into SQL."""

import re

_NOT_PLAIN = re.compile(r"[\x00-\x7f]")


def parameter(value: str) -> str:
    """`value` as the text of a `String` parameter: the engine reads parameters in its TabSeparated escaping."""
    return value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")


def like(value: str) -> str:
    """`value` as a literal part of a `LIKE` pattern, still to be bound as a parameter."""
    return value.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def regex(value: str) -> str:
    """`value` as a literal part of an RE2 pattern, still to be bound; it may be folded to lower case as a whole."""
    return _NOT_PLAIN.sub(_escaped, value)


def _escaped(found: re.Match[str]) -> str:
    character = found[0]
    if character.isalnum():
        return character
    return "\\x00" if character == "\0" else f"\\{character}"


def identifier(name: str) -> str:
    """`name` as the name of a column of an answer."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`").replace("\0", "\\0") + "`"
