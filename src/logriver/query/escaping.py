"""Every escape that the SQL needs, and nothing else. Values are bound as parameters, never pasted into SQL."""


def parameter(value: str) -> str:
    """`value` as the text of a `String` parameter: the engine reads parameters in its TabSeparated escaping."""
    return value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")


def like(value: str) -> str:
    """`value` as a literal part of a `LIKE` pattern, still to be bound as a parameter."""
    return value.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
