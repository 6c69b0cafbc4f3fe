"""The interface of decoders: bytes of one source to rows.

Everything that a result depends on is in the arguments, and all of it is plain data: so a decoder can be another
process's or another language's, and two of them can be compared. What an instance keeps beside that (compiled patterns,
times and field names that it has seen) makes it faster, and changes nothing but the order in which a JSON record's
fields without a column stand. `reference.py` is the decoder in Python.

The tables that every decoder reads are `tables/` (shapes of times, formats, levels, zones) and `columns.py` (which
names of a record's fields mean which column).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from logriver.record import Decoded


@dataclass(frozen=True, slots=True)
class Options:
    """What is given about a source; the same for all of its bytes. Hashable, and can be pickled.

    `format` is one of `formats.FORMATS`, `json_body`, `journal`, or the user's own name for `pattern`; empty to be
    recognised. `pattern` is the regular expression of a user's format (RE2's syntax). `zone` names the time zone of
    times that name none (`time/zones.py`); empty for this machine's. A record, which with `json_body` is one value of
    a body, has at most `max_record_bytes`.

    `multiline` says which lines belong to the one before: "" none, `indent` those that are indented;
    `multiline_start` is a regular expression instead (RE2's syntax), and lines that it does not find belong to the one
    before.

    `labels` are names and values that each record gets which does not have them, `host` is the host of those that then
    have none, and `path` is that of a file: a container's says the names of container and pod.
    """

    format: str = ""
    pattern: str = ""
    zone: str = ""
    max_record_bytes: int = 2_000_000
    multiline: str = ""
    multiline_start: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    host: str = ""
    path: str = ""


class State(NamedTuple):
    """What decoding depends on beside bytes and options: when and where they were read, and what came before them.

    `now_ns` is the time of reading, in nanoseconds since the epoch: that of records without a time. `offset` is where
    the bytes begin in their file; None for what is of no file, whose records have offset 0. (Of a journal it is the
    number of the entry.) The sender of such bytes is told of refusals: they do not carry the bytes of the record, and a
    time that cannot be stored is one, where in a file the record gets the time of reading.

    `format` is what was recognised where the options give none, empty as long as nothing was. `last_time_ns` is the
    time of the last record of the file that had one. `day_first` is the order of day and month in numbers, as the first
    time has shown it that can only be read in one order; None without any.
    """

    now_ns: int
    offset: int | None = None
    format: str = ""
    last_time_ns: int | None = None
    day_first: bool | None = None


class Decoder(Protocol):
    """One instance serves one thread at a time."""

    def decode(self, data: bytes, options: Options, state: State) -> tuple[Decoded, State]:
        """The rows of `data`, and the state in which the bytes after it are decoded.

        `data` are whole lines, the last one with or without its newline, or with `json_body` a whole body. What cannot
        be taken is refused record by record, with its offset; the rows are one buffer. Cut behind any line, the parts
        decoded in turn give the same rows, but for records of several lines, which `whole` keeps together.

        Raises `SettingsError` for options that no source can have, and with `json_body` `BadBody` for a body that has
        no value and `TooLarge` for one with too many.
        """
        ...

    def whole(self, data: bytes, options: Options, state: State) -> int:
        """How many of the bytes of `data`, whole lines, are records that cannot go on in the lines after them.

        Raises `SettingsError` as `decode` does.
        """
        ...


MakeDecoder = Callable[[], Decoder]
