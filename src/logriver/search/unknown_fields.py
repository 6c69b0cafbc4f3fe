"""Fields that a request names and no record has: most are misspelled, and their figures look like an answer."""

import contextlib
import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence

import anyio
import msgspec

from logriver.columns import ALIASES, RESERVED, TABLE, attribute_key, ways
from logriver.errors import LogriverError
from logriver.query.language import parser
from logriver.query.pipes.fields import Fields
from logriver.query.pipes.pipe import Pipe
from logriver.query.sql import escaping
from logriver.search.fields import FieldList
from logriver.search.scheduler import QueryScheduler
from logriver.watermark import Watermark

MAX_SECONDS = 1.0
SAMPLE_ROWS = 1_000
MAX_NAME = 60
"""Of longer names the likeness takes too long to find out."""
_LIKENESS = 0.7
# So many fields are looked for in all records, and so many rows are looked at.
_MOST_LOOKED_FOR = 3
_MOST_ROWS = 1_000
_decode = msgspec.json.Decoder(dict[str, object]).decode
_NOTHING = (None, "", 0, "0", False)


class UnknownFields:
    """Finds them; `materialized` are the keys of fields that have columns in the store."""

    def __init__(
        self, scheduler: QueryScheduler, watermark: Callable[[], Watermark], materialized: Callable[[], frozenset[str]]
    ) -> None:
        self._scheduler = scheduler
        self._fields = FieldList(scheduler, watermark, materialized)

    async def hint(self, asked: Iterable[str], rows: Sequence[Sequence[object]]) -> str | None:
        """A sentence about the first of the fields `asked` for that no record has, where the answer's rows hint at it.

        They do where there are none, or where a column has nothing but nulls, zeros and empty texts. A hint is an
        extra: a query that fails or takes too long gives none.
        """
        names = [name for name in asked if not _is_column(name)]
        if not names or not _has_nothing(rows[:_MOST_ROWS]):
            return None
        with contextlib.suppress(LogriverError), anyio.move_on_after(MAX_SECONDS):
            for name in names[:_MOST_LOOKED_FOR]:
                if not await self._has_record(attribute_key(name)):
                    sampled = await self._fields.sample(rows=SAMPLE_ROWS, of_each_source=True)
                    near = near_names(name, spellings(field.name for field in sampled.fields))
                    return f"no record has a field {name[:60]!r}" + (f", but there is {near[0]!r}" if near else "")
        return None

    async def hint_of_chosen(self, given: str, documents: Sequence[bytes]) -> str | None:
        """The same for what the pipe `fields` of a search text leaves of the documents that are found."""
        chosen = [pipe.names for pipe in parser.parse(given).pipes if isinstance(pipe, Fields)] if "|" in given else []
        if not chosen or not documents:
            return None
        given_back = map(_decode, documents[:_MOST_ROWS])
        return await self.hint(chosen[-1], [[document.get(name) for name in chosen[-1]] for document in given_back])

    async def _has_record(self, key: str) -> bool:
        """Whether the last key of any of its `ways` stands in any record; not asked where it may be escaped."""
        if not key.isascii() or "\\" in key or '"' in key:
            return True
        names = sorted({way[-1] for way in ways(key)})
        checks = [f"position(attributes, {{name{number}:String}}) > 0" for number in range(len(names))]
        params = {f"name{number}": escaping.parameter(f'"{name}"') for number, name in enumerate(names)}
        answer = await self._scheduler.ask("hint", f"SELECT 1 FROM {TABLE} WHERE {' OR '.join(checks)} LIMIT 1", params)
        return bool(answer.rows)


def fields_of(pipes: Sequence[Pipe]) -> list[str]:
    """The fields of records that statistics are about: those of the first pipe, the others work on its columns."""
    return list(pipes[0].record_fields()) if pipes else []


def spellings(names: Iterable[str]) -> Mapping[str, str]:
    """What may be typed for `names` and the columns, in small letters, and for which."""
    names = list(names)
    # By its last part too: whoever asks for `status` may mean `http.status`.
    written = {name.rpartition(".")[2].lower(): name for name in names}
    written |= {name.lower(): name for name in (*names, *ALIASES)}
    return {spelled: name for spelled, name in written.items() if len(spelled) <= MAX_NAME}


def near_names(name: str, written: Mapping[str, str]) -> list[str]:
    """The names that are written nearly like `name`, at most two; none for a very long one."""
    if len(name) > MAX_NAME:
        return []
    return [written[near] for near in difflib.get_close_matches(name.lower(), written, n=2, cutoff=_LIKENESS)]


def _is_column(name: str) -> bool:
    return name in ALIASES or name in RESERVED


def _has_nothing(rows: Sequence[Sequence[object]]) -> bool:
    return not rows or any(all(value in _NOTHING for value in column) for column in zip(*rows, strict=True))
