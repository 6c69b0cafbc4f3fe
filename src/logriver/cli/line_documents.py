"""Lines to the records that are sent for them: objects as they came, anything else as a followed file's lines are read.

A line of text is decoded here and not by the server, because what it says depends on the lines before it (the format is
what most of the first ones are) and on the machine's zone.
"""

from itertools import accumulate

import msgspec

from logriver import clock
from logriver.cli.pipe import MAX_LINE_BYTES
from logriver.columns import ALIASES, DECODED_COLUMNS
from logriver.decode.decoder import Options, State
from logriver.decode.formats import CONTAINERS, SAMPLE_BYTES, SAMPLE_LINES, recognise
from logriver.decode.reference import ReferenceDecoder
from logriver.decode.row_builder import values
from logriver.levels import level_of
from logriver.record import Decoded

# Objects are sent as they came. A record that a runtime cut into several lines is not put together: follow its files.
_READ_AS_TEXT = frozenset(("json", *CONTAINERS))

_NAMES = tuple(column.name for column in DECODED_COLUMNS)
_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode


class LineDocuments:
    """Of one input. `service` is that of records that name none, `zone` that of times that name none."""

    def __init__(self, service: str, zone: str = "") -> None:
        self._service = service
        self._decoder = ReferenceDecoder()
        self._options = Options(zone=zone, max_record_bytes=MAX_LINE_BYTES)
        self._sample = b""
        self._format = ""

    def of(self, lines: list[bytes]) -> list[bytes]:
        """The document of each line, with its newline. They come in order, none is empty or ends with a `\\r`."""
        documents = [_object(line, self._service) for line in lines]
        texts = [line for line, document in zip(lines, documents, strict=True) if document is None]
        if not texts:
            return [document for document in documents if document is not None]
        self._recognise(texts)
        read = iter(self._read(texts))
        return [next(read) if document is None else document for document in documents]

    def _recognise(self, texts: list[bytes]) -> None:
        """The format, until there were lines enough to be certain."""
        if len(self._sample) >= SAMPLE_BYTES or self._sample.count(b"\n") >= SAMPLE_LINES:
            return
        self._sample += b"".join(text[:SAMPLE_BYTES] + b"\n" for text in texts[:SAMPLE_LINES])
        name = recognise(self._sample)
        self._format = "text" if name in _READ_AS_TEXT else name

    def _read(self, texts: list[bytes]) -> list[bytes]:
        now_ns = clock.now_ns()
        decoded, _ = self._decoder.decode(b"\n".join(texts) + b"\n", self._options, State(now_ns, 0, self._format))
        found = _documents(decoded, self._service, now_ns)
        starts = accumulate((len(text) + 1 for text in texts[:-1]), initial=0)
        return [found.get(start) or self._as_text(text, now_ns) for start, text in zip(starts, texts, strict=True)]

    def _as_text(self, text: bytes, now_ns: int) -> bytes:
        """Of a line that its format refuses."""
        decoded, _ = self._decoder.decode(text + b"\n", self._options, State(now_ns, 0, "text"))
        return _documents(decoded, self._service, now_ns)[0]


def _object(line: bytes, service: str) -> bytes | None:
    """The document of a line that is a JSON object: as it came, with `service` where it names none."""
    if line.lstrip()[:1] != b"{" or (names := _names_of(line)) is None:
        return None
    if not service or "service" in names or "service.name" in names:
        return line + b"\n"
    # Inserted as text, so that every other value keeps the spelling it came with.
    added = b'{"service":' + _encode(service) + (b"," if names else b"")
    return line.replace(b"{", added, 1) + b"\n"


def _names_of(line: bytes) -> set[str] | None:
    """The keys of a line that is a JSON object, None where it is not."""
    try:
        return set(_decode_fields(line))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _documents(decoded: Decoded, service: str, now_ns: int) -> dict[int, bytes]:
    """The documents of rows, by their offset."""
    found = {}
    for row in decoded.rows.decode().split("\n")[:-1]:
        given = dict(zip(_NAMES, values(row), strict=True))
        offset, fields = int(given.pop("_offset")), _decode_fields(given.pop("attributes"))
        given["service"] = given["service"] or service
        found[offset] = _encode(_named(given, set(fields), now_ns) | _renamed(fields)) + b"\n"
    return found


def _named(given: dict[str, str], fields: set[str], now_ns: int) -> dict[str, str]:
    """Of the columns those that are sent.

    The time of reading is left to the server, as that of objects is, so that lines stay in their order. What is empty
    and it are sent where another field would take their place.
    """
    needed = {ALIASES[name] for name in fields if name in ALIASES}
    time_ns, sent_level = int(given["timestamp"]), given.pop("_level")
    if sent_level and level_of(sent_level) == given["level"]:
        given["level"] = sent_level
    has_own_time = time_ns != now_ns or "timestamp" in needed
    given["timestamp"] = clock.to_text(time_ns) if has_own_time else ""
    return {name: value for name, value in given.items() if value or name in needed}


def _renamed(fields: dict[str, msgspec.Raw]) -> dict[str, msgspec.Raw]:
    """A `timestamp` that is left was no time, which a server would refuse."""
    name_of_none = "time_text" if "time_text" not in fields else "time_text_2"
    return {name_of_none if name == "timestamp" else name: value for name, value in fields.items()}
