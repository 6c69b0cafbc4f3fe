"""How the lines of one source become records: what its settings say, and the decoder that follows from it."""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from logriver.clock import Zone
from logriver.decode.formats import CONTAINERS, FORMATS, Decode, decoder
from logriver.decode.labels import Labels
from logriver.decode.lines.containers import ContainerLines
from logriver.decode.lines.multiline import ByIndentation, ByPattern, Multiline
from logriver.decode.lines.text import TextLines
from logriver.decode.lines.user_format import UserFormat, UserLines
from logriver.decode.lines.whole_lines import split, without_mark
from logriver.decode.time import zones
from logriver.errors import SettingsError
from logriver.record import Decoded
from logriver.settings import SourceTable

UserFormats = Mapping[str, UserFormat]

_NO_LABELS = Labels({})
# Where Kubernetes has its containers' files; the links in /var/log/containers lead there.
_POD_FILE = re.compile(r".*/pods/([^/_]+)_([^/_]+)_[^/]+/([^/]+)/[^/]+", re.DOTALL)


@dataclass(frozen=True, slots=True)
class LineRules:
    """A `format` of None is to be recognised, a `zone` of None is the reading machine's.

    `machine` is the host of records that have none, labels included; empty to leave them so.
    """

    format: str | None = None
    zone: Zone | None = None
    user_format: UserFormat | None = None
    multiline: Multiline | None = None
    labels: Labels = _NO_LABELS
    machine: str = ""


class LineReader(NamedTuple):
    """What reads the lines of one file; not for two threads at once.

    `whole` says how many of the bytes of whole lines are records that do not go on in the next lines.
    """

    decode: Decode
    whole: Callable[[bytes], int]


def user_formats(patterns: Mapping[str, str]) -> UserFormats:
    """The formats of the settings. Raises `SettingsError`."""
    taken = next((name for name in patterns if name in FORMATS or not name.isidentifier()), None)
    if taken is not None:
        raise SettingsError(f"a format cannot be called {taken[:60]!r}", hint="a word that is no format's name yet")
    return {name: UserFormat(name, pattern) for name, pattern in patterns.items()}


def rules_of(table: SourceTable, formats: UserFormats) -> LineRules:
    """What a table of the settings says. Raises `SettingsError`."""
    name = table.format or None
    known: Collection[str] = (*FORMATS, *formats)
    if name and name not in known:
        raise SettingsError(f"unknown format {name[:60]!r}", hint=f"formats are {', '.join(known)}")
    try:
        zone = zones.zone(table.zone) if table.zone else None
    except ValueError as error:
        raise SettingsError(str(error), hint="a zone is UTC, +02:00 or like Europe/Paris") from None
    multiline = _multiline(table)
    user_format = formats.get(name or "")
    if multiline and name and not (user_format or name == "text" or name in CONTAINERS):
        raise SettingsError(f"a record of format {name!r} has one line", hint=f"in the source {table.path[:60]!r}")
    return LineRules(name, zone, user_format, multiline, Labels(table.labels))


def reader(rules: LineRules, name: str, max_record_bytes: int, zone: Zone, path: Path) -> LineReader:
    """The reader of the file at `path`, whose format is called `name`; `zone` is that of rules that name none."""
    decode_lines, whole = _reader(rules, name, max_record_bytes, rules.zone or zone)

    def decode(chunk: bytes, offset: int, now_ns: int) -> Decoded:
        return decode_lines(chunk if offset else without_mark(chunk), offset, now_ns)

    own = rules.labels.or_host(rules.machine) if rules.machine else rules.labels
    labels = [given for given in (own, _pod_labels(path) if name == "cri" else _NO_LABELS) if given]
    if not labels:
        return LineReader(decode, whole)

    def labelled(chunk: bytes, offset: int, now_ns: int) -> Decoded:
        decoded = decode(chunk, offset, now_ns)
        for given in labels:
            given.add(decoded)
        return decoded

    return LineReader(labelled, whole)


def _pod_labels(path: Path) -> Labels:
    """What the path of a container's file says about it."""
    found = _POD_FILE.fullmatch(str(path))
    return Labels(dict(zip(("namespace", "pod", "container"), found.groups(), strict=True))) if found else _NO_LABELS


def _reader(rules: LineRules, name: str, max_record_bytes: int, zone: Zone) -> LineReader:
    multiline = rules.multiline
    if name in CONTAINERS:
        containers = ContainerLines(CONTAINERS[name], max_record_bytes, zone, multiline)
        return LineReader(containers.decode, containers.whole)
    records = multiline.split if multiline else split
    if rules.user_format:
        decode = UserLines(rules.user_format, max_record_bytes, zone, records).decode
    elif name == "text":
        decode = TextLines(max_record_bytes, zone, records).decode
    else:
        return LineReader(decoder(name, max_record_bytes, zone), len)
    if multiline is None:
        return LineReader(decode, len)
    return LineReader(decode, partial(multiline.whole, max_record_bytes=max_record_bytes))


def _multiline(table: SourceTable) -> Multiline | None:
    if table.multiline and table.multiline_start:
        raise SettingsError(f"multiline and multiline_start are both set for {table.path[:60]!r}", hint="one of them")
    if table.multiline_start:
        return Multiline(ByPattern(table.multiline_start))
    return Multiline(ByIndentation()) if table.multiline else None
