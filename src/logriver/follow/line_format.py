"""The format of one file's lines: as it was given, or recognised anew until there are lines enough to be certain."""

from logriver.clock import Zone
from logriver.follow.growing_file import GrowingFile
from logriver.protocols.formats import SAMPLE_LINES, Decode, decoder, recognise

_SAMPLE_BYTES = 64 * 1024


class LineFormat:
    """Of one file; used by one thread at a time."""

    def __init__(self, given: str | None, max_record_bytes: int, zone: Zone) -> None:
        self.name = given or ""
        self._given = given
        self._max_record_bytes = max_record_bytes
        self._zone = zone
        self._decode: Decode | None = None
        self._certain = given is not None

    def forget(self) -> None:
        """The file has other content now."""
        self._decode = None
        self._certain = self._given is not None

    def decoder(self, file: GrowingFile) -> Decode:
        """The decoder of its lines."""
        if self._decode and self._certain:
            return self._decode
        name = self._given or self._recognise(file)
        if self._decode is None or name != self.name:
            self._decode = decoder(name, self._max_record_bytes, self._zone)
            self.name = name
        return self._decode

    def _recognise(self, file: GrowingFile) -> str:
        head = file.head(_SAMPLE_BYTES)
        self._certain = len(head) == _SAMPLE_BYTES or head.count(b"\n") >= SAMPLE_LINES
        return recognise(head[: head.rfind(b"\n") + 1] or head)
