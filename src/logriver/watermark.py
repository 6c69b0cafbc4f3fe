"""The watermark: of each node the highest sequence number below which every number is searchable, dead or skipped.

Whatever reads records reads only up to it, so that pages have no gap and no double while writers finish out of order.
"""

from collections.abc import Iterator, Mapping


class Watermark(Mapping[str, int]):
    """A number for each node, in the order of their names. It does not change: where it moves there is a new one.

    Of a node that it does not name nothing is below it.
    """

    __slots__ = ("_numbers",)

    def __init__(self, numbers: Mapping[str, int] | None = None) -> None:
        self._numbers = dict(sorted(numbers.items())) if numbers else {}

    def __getitem__(self, node: str) -> int:
        return self._numbers[node]

    def __iter__(self) -> Iterator[str]:
        return iter(self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)

    def __hash__(self) -> int:
        return hash(tuple(self._numbers.items()))

    def __repr__(self) -> str:
        return f"Watermark({self._numbers!r})"

    def covers(self, node: str, seq: int) -> bool:
        """Whether the record of that number is not above it."""
        return seq <= self._numbers.get(node, 0)

    def is_ahead_of(self, other: "Watermark") -> bool:
        """Whether any node is further than in `other`."""
        return any(not other.covers(node, seq) for node, seq in self._numbers.items())

    def moved(self, node: str, seq: int) -> "Watermark":
        """The same with one node at another number."""
        return Watermark(self._numbers | {node: seq})

    def higher(self, other: "Watermark") -> "Watermark":
        """Of each node that either names the higher number."""
        return Watermark({node: max(self.get(node, 0), other.get(node, 0)) for node in {*self, *other}})

    def of_nodes(self, other: "Watermark") -> "Watermark":
        """For the nodes of `other` and no further ones: one that joined since then begins at 0."""
        return Watermark({node: self._numbers.get(node, 0) for node in other})


NOTHING = Watermark()
"""Below this there is no record."""
