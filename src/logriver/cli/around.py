"""What is found among the lines beside it, as grep's `-C` shows it."""

from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import msgspec

from logriver.cli.client import ask

MOST_LINES = 999
"""On each side. The server gives one more, by which groups are found to touch."""


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
    last = ""
    for asked in ids:
        params = {"id": asked, "before": str(before + 1), "after": str(after + 1)}
        context = ask(client, "/api/v1/context", _Context, params=params)
        near = {_id(row): bytes(row) for row in context.rows}
        first, end = context.position - before, context.position + after + 1
        group = list(near)[max(first, 0) : end]
        apart = bool(shown) and last not in near
        for line in reversed(group) if newest_first else group:
            if line not in shown:
                yield Shown(near[line], line in found, apart)
                apart = False
                shown.add(line)
                last = line


def _id(document: bytes | msgspec.Raw) -> str:
    return msgspec.json.decode(document, type=_Id).id
