"""What is found among the lines beside it, as grep's `-C` shows it."""

from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import msgspec

from logriver.cli.client import ask

MOST_LINES = 999
"""On each side. The server gives one more, by which groups are found to touch."""

# So many lines further are asked for at first, where records that are found stand close together.
_AHEAD = 50


class _Id(msgspec.Struct):
    id: str = msgspec.field(name="_id")


class _Context(msgspec.Struct):
    rows: list[msgspec.Raw]
    position: int


@dataclass(frozen=True, slots=True)
class Shown:
    """A document, whether it was `found`, and whether lines were left out between it and the one before it."""

    document: bytes
    found: bool
    apart: bool


def among_lines(
    client: httpx.Client, documents: list[bytes], before: int, after: int, newest_first: bool
) -> Iterator[Shown]:
    """The documents, in their order, each among the lines of its source, host and service; each line once.

    `before` and `after` are meant in the order of arrival, also where the newest come first.
    """
    ids = [_id(document) for document in documents]
    found, shown = set(ids), set[str]()
    near, last, ahead = _Near({}), "", 0
    for asked in ids:
        if not near.has(asked, before, after):
            ahead = min(max(2 * ahead, _AHEAD), MOST_LINES) if asked in near.places else 0
            near = _ask(client, asked, before + ahead * newest_first, after + ahead * (not newest_first))
        place = near.places[asked]
        group = near.ids[max(place - before, 0) : place + after + 1]
        for line in reversed(group) if newest_first else group:
            if line not in shown:
                yield Shown(near.lines[line], line in found, bool(shown) and not near.touch(last, line))
                shown.add(line)
                last = line


class _Near:
    """Lines in the order of arrival, and whether they are the first of their source and the last."""

    def __init__(self, lines: dict[str, bytes], begins: bool = False, ends: bool = False) -> None:
        self.lines = lines
        self.ids = list(lines)
        self.places = {line: place for place, line in enumerate(self.ids)}
        self._begins, self._ends = begins, ends

    def has(self, line: str, before: int, after: int) -> bool:
        """Whether the line is here with so many and one more on each side, as far as there are any."""
        place = self.places.get(line)
        if place is None:
            return False
        return (self._begins or place > before) and (self._ends or place + after + 1 < len(self.ids))

    def touch(self, one: str, other: str) -> bool:
        """Whether one stands directly beside the other."""
        return one in self.places and abs(self.places[one] - self.places[other]) == 1


def _ask(client: httpx.Client, asked: str, before: int, after: int) -> _Near:
    before, after = min(before, MOST_LINES) + 1, min(after, MOST_LINES) + 1
    params = {"id": asked, "before": str(before), "after": str(after)}
    context = ask(client, "/api/v1/context", _Context, params=params)
    later = len(context.rows) - context.position - 1
    return _Near({_id(row): bytes(row) for row in context.rows}, context.position < before, later < after)


def _id(document: bytes | msgspec.Raw) -> str:
    return msgspec.json.decode(document, type=_Id).id
