"""What can be asked of the files of a machine, and how that is written on the way to another one."""

from dataclasses import dataclass
from typing import TypeVar

import msgspec

from logriver.errors import BadRequest

_Request = TypeVar("_Request", "LogRequest", "ListRequest", "FileSearchRequest")


@dataclass(frozen=True, slots=True)
class LogRequest:
    """Lines of the file called `filename` that contain `keyword`, newest first, at most `n`; None is all of them.

    With `regex` the keyword is a pattern (RE2). With `multiline` a match may span lines; those that it touches are
    given together, in their own order, and `n` counts them as one. `from_ns` is inclusive, `to_ns` exclusive: by the
    times that lines begin with; a line without one has that of the line before.
    """

    filename: str
    keyword: str = ""
    n: int | None = None
    regex: bool = False
    ignore_case: bool = False
    multiline: bool = False
    from_ns: int | None = None
    to_ns: int | None = None


@dataclass(frozen=True, slots=True)
class ListRequest:
    """What is in the directory called `path`, or about that file; all roots together when it is empty."""

    path: str = ""


@dataclass(frozen=True, slots=True)
class FileSearchRequest:
    """The newest `limit` records, of all files that nobody follows, that the search text `q` without pipes finds.

    Of each the `fields` are wanted, all where there are none. `from_ns` is inclusive, `to_ns` exclusive. When
    `max_bytes` have been read, that is the end.
    """

    q: str
    limit: int
    max_bytes: int
    fields: tuple[str, ...] = ()
    from_ns: int | None = None
    to_ns: int | None = None


def encode(request: LogRequest | ListRequest | FileSearchRequest) -> bytes:
    """The request as JSON."""
    return msgspec.json.encode(request)


def decode(text: bytes, kind: type[_Request]) -> _Request:
    """The request that `encode` wrote. Raises `BadRequest` for anything else."""
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(f"not a request for files: {error}") from None
