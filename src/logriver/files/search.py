"""One search over the files below the roots that nobody follows: what of them would be found if they were stored.

Files are read newest first, each from its end, until there are enough records that are newer than all the rest, or the
bytes that may be read are used up. Lines that cannot match are passed over by the words that they would have to hold;
only the others are decoded, by the decoder that following the file would take. Everything here blocks.

The answer is a line of JSON for each event: a found record, how far the search is, a file that could not be read, and
the end.
"""

import os
from collections.abc import Collection, Generator

import msgspec

from logriver import clock
from logriver.decode.decoder import MakeDecoder
from logriver.errors import LogriverError
from logriver.file_position import FileKey
from logriver.files import compressed
from logriver.files.found_events import End, FileFailed, FoundRow, Progress, line
from logriver.files.found_row import document
from logriver.files.log_files import LogFile, LogFiles
from logriver.files.newest import Newest
from logriver.files.opened import Opened
from logriver.files.record_lines import RecordLines
from logriver.files.request import FileSearchRequest
from logriver.files.roots import Roots
from logriver.query.language.parser import parse
from logriver.query.match.needed_words import needed_words
from logriver.query.match.row import Row
from logriver.query.match.row_match import holds

_PROGRESS_SECONDS = 0.2
_NOTHING_YET = b""


class FileSearch:
    """One request. Raises `BadQuery` for a text that is none."""

    def __init__(
        self, roots: Roots, stored: Collection[FileKey], request: FileSearchRequest, make_decoder: MakeDecoder
    ) -> None:
        """`stored` are the keys of files whose lines are stored; `make_decoder` makes a decoder for each file."""
        self._make_decoder = make_decoder
        query = parse(request.q).where
        self._holds = holds(query)
        self._words = needed_words(query)
        self._roots = roots
        self._request = request
        self._files = LogFiles(roots, stored)
        self._newest = Newest(request.limit)
        self._read_bytes = self._read_files = self._of_bytes = 0
        self._is_complete = True
        self._progress_at = 0.0

    def events(self) -> Generator[bytes, None, None]:
        """The answer in pieces; an empty one is a step on the way. Close it: that closes the file."""
        for _ in self._files.look():
            yield _NOTHING_YET
        files = [file for file in self._files.newest_first() if self._is_wanted(file)]
        self._of_bytes = sum(file.size for file in files)
        for file in files:
            # The newest of it is older than all that was found.
            if not self._is_wanted(file):
                break
            if self._left_bytes <= 0:
                self._is_complete = False
                break
            try:
                yield from self._of_file(file)
            except LogriverError as error:
                self._is_complete = False
                yield line(FileFailed(file.path, error.code, error.message))
        whole = self._is_complete and self._files.are_all
        yield line(End(self._read_bytes, self._read_files, whole))

    @property
    def _left_bytes(self) -> int:
        return self._request.max_bytes - self._read_bytes

    @property
    def _from_ns(self) -> int | None:
        """From when on records are wanted: later than asked for, once there are enough."""
        asked, floor = self._request.from_ns, self._newest.floor_ns
        return asked if floor is None else max(floor, asked or floor)

    def _is_wanted(self, file: LogFile) -> bool:
        return self._from_ns is None or file.modified_ns >= self._from_ns

    def _of_file(self, file: LogFile) -> Generator[bytes, None, None]:
        descriptor, _ = self._roots.open(file.path)
        opened = Opened(descriptor, file.path)
        self._read_files += 1
        try:
            inflate = compressed.inflater(opened)
            if inflate is None:
                yield from self._records(opened, file)
                return
            with compressed.temporary_file() as content, os.fdopen(os.dup(descriptor), "rb") as source:
                for _ in compressed.inflated(source, inflate, content):
                    yield _NOTHING_YET
                    if content.tell() > self._left_bytes:
                        self._is_complete = False
                        return
                yield from self._records(Opened(content.fileno(), file.path), file)
        finally:
            opened.close()

    def _records(self, opened: Opened, file: LogFile) -> Generator[bytes, None, None]:
        lines = RecordLines(opened, file, self._words, self._make_decoder())
        left = opened.size
        for piece in lines.pieces(self._request.to_ns, lambda: self._from_ns):
            self._read_bytes += piece.read_bytes
            left -= piece.read_bytes
            yield b"".join(map(self._found, filter(self._is_found, piece.records)))
            yield self._progress(file)
            if self._left_bytes <= 0:
                self._is_complete = self._is_complete and left == 0
                return

    def _is_found(self, row: Row) -> bool:
        from_ns, to_ns = self._request.from_ns, self._request.to_ns
        is_in_time = (from_ns is None or row.time_ns >= from_ns) and (to_ns is None or row.time_ns < to_ns)
        return is_in_time and self._holds(row) and self._newest.takes(row.time_ns)

    def _found(self, row: Row) -> bytes:
        return line(FoundRow(msgspec.Raw(msgspec.json.encode(document(row, self._request.fields))), row.time_ns))

    def _progress(self, file: LogFile) -> bytes:
        now = clock.monotonic()
        if now < self._progress_at:
            return _NOTHING_YET
        self._progress_at = now + _PROGRESS_SECONDS
        of_bytes = max(self._read_bytes, min(self._of_bytes, self._request.max_bytes))
        return line(Progress(file.path, self._read_bytes, of_bytes))
