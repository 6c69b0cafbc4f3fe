"""The two formats in which container runtimes write what a container prints, a file for each container.

`docker`: `{"log":"a line\\n","stream":"stdout","time":"2024-01-02T03:04:05.6Z"}`, one object a line; a line that was
too long for the runtime goes on in the next object of its stream, and only the last has the newline. `cri`, that of
Kubernetes: `2024-01-02T03:04:05.6Z stdout F a line`, where `P` instead of `F` says that it goes on in the next line of
its stream.
"""

import re
from typing import NamedTuple

import msgspec

from logriver.decode.tables.read import table


class ContainerLine(NamedTuple):
    """What one line of such a file says: `text` of a `stream` at a `time`; `goes_on` if its line does not end here."""

    time: str
    stream: str
    text: str
    goes_on: bool
    attrs: tuple[tuple[str, str], ...] = ()


class _DockerLine(msgspec.Struct):
    log: str
    stream: str
    time: str
    attrs: dict[str, str] | None = None


_CRI_LINE = re.compile(table("formats").data["cri_line"])
_docker_line = msgspec.json.Decoder(_DockerLine).decode


def docker_line(text: str) -> ContainerLine | None:
    """What a line of Docker's says; None for another line."""
    try:
        line = _docker_line(text)
    except (msgspec.DecodeError, UnicodeDecodeError, UnicodeEncodeError, RecursionError):
        return None
    goes_on, log = not line.log.endswith("\n"), line.log
    return ContainerLine(
        line.time, line.stream, log if goes_on else log.rstrip("\r\n"), goes_on, tuple((line.attrs or {}).items())
    )


def cri_line(text: str) -> ContainerLine | None:
    """What a line of CRI's says; None for another line."""
    found = _CRI_LINE.fullmatch(text)
    return ContainerLine(found[1], found[2], found[4], found[3] == "P") if found else None
