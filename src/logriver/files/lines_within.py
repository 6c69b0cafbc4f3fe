"""Which lines of a file are of a time range, and where in the file to begin and to end looking for them.

A line without a time has that of the line before. Lines are taken to stand in the order of their times, give or take an
hour: reading begins behind the last ones that can be wanted, and ends where the lines of a whole piece are older than
wanted by more than that.
"""

from collections.abc import Iterator

from logriver import clock
from logriver.decode.time.line_times import HEAD_BYTES, OBJECT_BYTES, LineTimes
from logriver.errors import Unprocessable
from logriver.files.opened import Opened

DISORDER_NS = 3_600 * clock.SECOND_NS
_LOOK_BYTES = 65_536
# A line that has no time in so much before it has none.
_LOOK_BACK_BYTES = 1_048_576
_NEAR_BYTES = 1_048_576


class LinesWithin:
    """The lines of `file` from `from_ns` to before `to_ns`; None is unbounded. Asked from newer lines to older ones."""

    def __init__(self, file: Opened, from_ns: int | None, to_ns: int | None) -> None:
        self._file = file
        self._from_ns = clock.MIN_TIME_NS if from_ns is None else from_ns
        self._to_ns = clock.MAX_TIME_NS + 1 if to_ns is None else to_ns
        self._times = LineTimes(clock.now_ns())
        # A stretch of lines without times, from behind its last line to its first or the line before that has one, and
        # the time of that: lines are asked for one after the other, and what was looked through is not looked at again.
        self._known: tuple[int, int, int | None] = (-1, 0, None)

    def end(self) -> int:
        """Where to begin: all lines behind it are newer. Raises `Unprocessable` for a file without times at its end."""
        size = self._file.size
        if size and self.time_at(self._file.line_start(size - 1)) is None:
            raise Unprocessable(
                f"no line in the last {_LOOK_BACK_BYTES} bytes of the file begins with a time",
                hint="ask without from and to",
            )
        low, high = 0, size
        while high - low > _NEAR_BYTES:
            middle = (low + high) // 2
            start = self._file.line_start(middle)
            newer = self._newer_from(start) if start > low else high
            low, high = (low, newer) if newer < high else (middle, high)
        return high

    def has(self, start: int) -> bool:
        """Whether the line that starts there is in the range."""
        time_ns = self.time_at(start)
        return time_ns is not None and self._from_ns <= time_ns < self._to_ns

    def is_past(self, start: int, end: int) -> bool:
        """Whether all lines there with a time, of which there are some, are so old that older ones need no look."""
        limit_ns = self._from_ns - DISORDER_NS
        if limit_ns < clock.MIN_TIME_NS:
            return False
        times = (time_ns for _, time_ns in self._timed(start, end))
        newest_ns = next(times, limit_ns)
        return newest_ns < limit_ns and all(time_ns < limit_ns for time_ns in times)

    def time_at(self, offset: int) -> int | None:
        """The time of the line that starts there, or of the nearest line before that has one."""
        newest, looked, time_ns = self._known
        if not looked <= offset <= newest:
            newest, looked, time_ns = offset, offset, self._own_time(offset)
        if time_ns is None:
            stop = self._file.line_start(max(0, offset - _LOOK_BACK_BYTES))
            for start in self._starts(stop, looked):
                looked, time_ns = start, self._own_time(start)
                if time_ns is not None:
                    break
        self._known = newest, looked, time_ns
        return time_ns

    def _newer_from(self, start: int) -> int:
        """From where on lines are newer than wanted: the next line with a time, if it is; otherwise the size."""
        size = self._file.size
        timed = list(self._timed(start, min(size, start + _LOOK_BYTES)))
        return timed[-1][0] if timed and timed[-1][1] >= self._to_ns + DISORDER_NS else size

    def _timed(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Where lines start that have a time, and the time, newest first."""
        for offset in self._starts(start, end):
            time_ns = self._own_time(offset)
            if time_ns is not None:
                yield offset, time_ns

    def _starts(self, start: int, end: int) -> Iterator[int]:
        """Where lines start, from the last before `end` to `start`."""
        offset = end
        while offset > start:
            begin = max(start, offset - _LOOK_BYTES)
            piece = self._file.read(begin, offset)
            found = piece.rfind(b"\n")
            while found >= 0:
                if begin + found + 1 < end:
                    yield begin + found + 1
                found = piece.rfind(b"\n", 0, found)
            offset = begin
        yield start

    def _own_time(self, start: int) -> int | None:
        size = self._file.size
        head = self._file.read(start, min(size, start + HEAD_BYTES))
        line = head[: head.find(b"\n") + 1] or head
        if line[:1] == b"{" and line is head:
            line = self._file.read(start, min(size, start + OBJECT_BYTES)).partition(b"\n")[0]
        return self._times.of(line)
