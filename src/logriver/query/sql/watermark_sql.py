"""Conditions on records that are below or above a watermark. No other file writes them.

Of one node, whose records are all there are, the number alone is compared.
"""

from collections.abc import Callable

from logriver.watermark import Watermark

Bind = Callable[[str | int, str], str]
"""Binds a value as a type and gives the placeholder for it; see `binding.py`."""


def below(watermark: Watermark, bind: Bind, seq: str = "_seq") -> str:
    """SQL: the record is not above the watermark of its node. `seq` is SQL for its number."""
    if len(watermark) <= 1:
        return f"{seq} <= {bind(max(watermark.values(), default=0), 'UInt64')}"
    nodes = ", ".join(bind(node, "String") for node in watermark)
    numbers = ", ".join(bind(number, "UInt64") for number in watermark.values())
    return f"{seq} <= transform(_node, [{nodes}], [{numbers}], toUInt64(0))"


def above(watermark: Watermark, bind: Bind) -> str:
    """SQL: the record is above the watermark of its node. In a form that indexes of `_seq` are used for."""
    if len(watermark) <= 1:
        return f"_seq > {bind(max(watermark.values(), default=0), 'UInt64')}"
    nodes = {node: bind(node, "String") for node in watermark}
    further = [f"(_node = {nodes[node]} AND _seq > {bind(number, 'UInt64')})" for node, number in watermark.items()]
    return f"({' OR '.join(further)} OR _node NOT IN ({', '.join(nodes.values())}))"
