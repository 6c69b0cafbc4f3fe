"""`_id`: a record's node and number as one string. Opaque to the outside."""


def encode(node: str, seq: int) -> str:
    """The `_id` of a record."""
    return f"{node}-{seq}"


def decode(text: str) -> tuple[str, int] | None:
    """Node and number of an `_id`; None for a text that is none."""
    node, dash, digits = text.rpartition("-")
    if not dash or not digits.isdecimal() or not digits.isascii() or len(digits) > 16:
        return None
    return node, int(digits)
