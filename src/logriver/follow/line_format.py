"""The format of one file's lines: as it was given, or recognised anew until there are lines enough to be certain."""

from dataclasses import replace

from logriver.decode.decoder import Decoder, Options, State
from logriver.decode.formats import SAMPLE_BYTES, SAMPLE_LINES, recognise
from logriver.follow.growing_file import GrowingFile
from logriver.path_text import text_of
from logriver.record import Decoded


class LineFormat:
    """Of one file; used by one thread at a time."""

    def __init__(self, options: Options, decoder: Decoder) -> None:
        self.name = options.format
        self._options = options
        self._decoder = decoder
        self._certain = bool(options.format)

    def forget(self) -> None:
        """The file has other content now."""
        self._certain = bool(self._options.format)

    def whole(self, file: GrowingFile, lines: bytes, state: State) -> int:
        """See `Decoder.whole`."""
        return self._decoder.whole(lines, self._options_of(file), state._replace(format=self._name(file)))

    def decode(self, file: GrowingFile, lines: bytes, state: State) -> tuple[Decoded, State]:
        """See `Decoder.decode`."""
        return self._decoder.decode(lines, self._options_of(file), state._replace(format=self._name(file)))

    def _options_of(self, file: GrowingFile) -> Options:
        # A path that is not UTF-8 would be a label that nobody can store.
        path = text_of(str(file.path))
        if path != self._options.path:
            self._options = replace(self._options, path=path)
        return self._options

    def _name(self, file: GrowingFile) -> str:
        if not self._certain:
            head = file.head(SAMPLE_BYTES)
            self._certain = len(head) == SAMPLE_BYTES or head.count(b"\n") >= SAMPLE_LINES
            self.name = recognise(head)
        return self.name
