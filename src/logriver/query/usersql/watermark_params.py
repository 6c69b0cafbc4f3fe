"""The parameters of a statement: the watermark up to which it sees records. It has no others."""

import re

from logriver.query.sql import escaping

_PREFIXES = {"UInt64": "watermark", "String": "watermark_node"}
"""By their types, the beginnings of the names; a number follows."""


class WatermarkParams:
    """Binds the numbers and nodes of a watermark."""

    def __init__(self) -> None:
        self.values: dict[str, str | int] = {}

    def bind(self, value: str | int, type: str) -> str:
        """Bind a value and give the placeholder for it."""
        name = f"{_PREFIXES[type]}{len(self.values)}"
        self.values[name] = escaping.parameter(value) if isinstance(value, str) else value
        return f"{{{name}:{type}}}"


def is_parameter(name: str, type: str) -> bool:
    """Whether a parameter is one of these."""
    prefix = _PREFIXES.get(type)
    return prefix is not None and re.fullmatch(rf"{prefix}\d{{1,4}}", name) is not None
