"""The format of one file's lines: as it was given, or recognised anew until there are lines enough to be certain."""

from pathlib import Path

from logriver.clock import Zone
from logriver.decode.formats import SAMPLE_LINES, recognise
from logriver.decode.line_rules import LineReader, LineRules, reader
from logriver.follow.growing_file import GrowingFile
from logriver.path_text import text_of

_SAMPLE_BYTES = 64 * 1024


class LineFormat:
    """Of one file; used by one thread at a time."""

    def __init__(self, rules: LineRules, max_record_bytes: int, zone: Zone) -> None:
        self.name = rules.format or ""
        self._rules = rules
        self._max_record_bytes = max_record_bytes
        self._zone = zone
        self._reader: LineReader | None = None
        self._certain = rules.format is not None

    def forget(self) -> None:
        """The file has other content now."""
        self._reader = None
        self._certain = self._rules.format is not None

    def reader(self, file: GrowingFile) -> LineReader:
        """What reads its lines."""
        if self._reader and self._certain:
            return self._reader
        name = self._rules.format or self._recognise(file)
        if self._reader is None or name != self.name:
            # A path that is not UTF-8 would be a label that nobody can store.
            path = Path(text_of(str(file.path)))
            self._reader = reader(self._rules, name, self._max_record_bytes, self._zone, path)
            self.name = name
        return self._reader

    def _recognise(self, file: GrowingFile) -> str:
        head = file.head(_SAMPLE_BYTES)
        self._certain = len(head) == _SAMPLE_BYTES or head.count(b"\n") >= SAMPLE_LINES
        return recognise(head[: head.rfind(b"\n") + 1] or head)
