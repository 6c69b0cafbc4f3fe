"""Lines of one format to rows, as the formats of text have it in common: split, then read one by one.

A line that is not as its format has it is read as text.
"""

from collections.abc import Callable

from logriver.decode.lines import text
from logriver.decode.lines.text import Values, encoded
from logriver.decode.lines.whole_lines import Line, Split, split
from logriver.decode.time.timestamps import Stamps
from logriver.record import Decoded

ValuesOf = Callable[[Line, Stamps], Values | None]
"""The values of a line's row; None for a line of another format."""


class FormatLines:
    """The decoder of one format; of text without `values_of`."""

    def __init__(
        self,
        max_record_bytes: int,
        values_of: ValuesOf | None = None,
        split: Split = split,
        *,
        must_match: bool = False,
    ) -> None:
        """`split` gives the records, which may have several lines. Where all `must_match`, the others are counted."""
        self._max_record_bytes = max_record_bytes
        self._values_of = values_of
        self._split = split
        self._must_match = must_match

    def decode(self, chunk: bytes, offset: int, stamps: Stamps) -> Decoded:
        """Rows of whole lines that begin at byte `offset` of their file; only lines that are too long are refused."""
        lines, refused = self._split(chunk, offset, self._max_record_bytes)
        if self._values_of is None:
            return Decoded(encoded(text.values_of(lines, stamps)), len(lines), refused)
        rows: list[Values] = []
        unmatched = 0
        for line in lines:
            values = self._values_of(line, stamps)
            if values is None:
                (values,) = text.values_of([line], stamps)
                unmatched += self._must_match
            rows.append(values)
        return Decoded(encoded(rows), len(rows), refused, unmatched)
