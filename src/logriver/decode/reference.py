"""The reference decoder: `Decoder` in Python.

It defines what each input becomes; any other implementation is compared with it.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from logriver.clock import Zone
from logriver.decode.decoder import Options, State
from logriver.decode.formats import CONTAINERS, recognise
from logriver.decode.json.body import decode_body
from logriver.decode.json.lines import JsonLines
from logriver.decode.labels import Labels
from logriver.decode.lines import access_log
from logriver.decode.lines.api_requests import ApiRequests
from logriver.decode.lines.containers import ContainerLines
from logriver.decode.lines.format_lines import FormatLines
from logriver.decode.lines.logfmt import LogFmt
from logriver.decode.lines.multiline import ByIndentation, ByPattern, Multiline
from logriver.decode.lines.user_format import UserFormat, UserLines
from logriver.decode.lines.whole_lines import without_mark
from logriver.decode.time import zones
from logriver.decode.time.timestamps import Stamps
from logriver.decode.wire import journal
from logriver.errors import SettingsError
from logriver.record import Decoded

# As many sources as a thread may serve in turn without compiling their options anew.
_MAX_READY = 16
# Where Kubernetes has its containers' files; the links in /var/log/containers lead there.
_POD_FILE = re.compile(r".*/pods/([^/_]+)_([^/_]+)_[^/]+/([^/]+)/[^/]+", re.DOTALL)


Read = Callable[[bytes, State], tuple[Decoded, bool | None]]
"""Bytes to rows without labels, and `State.day_first` after them."""

Whole = Callable[[bytes, int], int]
"""`Decoder.whole`, given bytes and the time of reading."""


class _Ready(NamedTuple):
    """The options of one source, made ready for one format."""

    name: str
    read: Read
    whole: Whole
    labels: list[Labels]


class ReferenceDecoder:
    """A `Decoder`."""

    def __init__(self) -> None:
        self._ready: dict[tuple[Options, str], _Ready] = {}
        # The last one, which is nearly always the next one too.
        self._options: Options | None = None
        self._last: _Ready | None = None

    def decode(self, data: bytes, options: Options, state: State) -> tuple[Decoded, State]:
        """See `Decoder`."""
        ready = self._ready_for(data, options, state)
        decoded, day_first = ready.read(without_mark(data) if state.offset == 0 else data, state)
        for labels in ready.labels:
            labels.add(decoded)
        if state.offset is None:
            return decoded, state if options.format else state._replace(format=ready.name)
        # Entries of a journal are counted, not their bytes.
        size = decoded.count + len(decoded.refused) if ready.name == "journal" else len(data)
        last_time_ns = _last_time_ns(decoded, state.now_ns)
        if last_time_ns is None:
            last_time_ns = state.last_time_ns
        name = state.format if options.format else ready.name
        return decoded, State(state.now_ns, state.offset + size, name, last_time_ns, day_first)

    def whole(self, data: bytes, options: Options, state: State) -> int:
        """See `Decoder`."""
        ready = self._ready_for(data, options, state)
        return ready.whole(without_mark(data) if state.offset == 0 else data, state.now_ns)

    def _ready_for(self, data: bytes, options: Options, state: State) -> _Ready:
        last = self._last
        if last is not None and options is self._options and last.name in (options.format, state.format):
            return last
        name = options.format or state.format or recognise(data)
        ready = self._ready.get((options, name))
        if ready is None:
            if len(self._ready) >= _MAX_READY:
                self._ready.clear()
            ready = self._ready[options, name] = _ready(options, name)
        self._options, self._last = options, ready
        return ready


def _ready(options: Options, name: str) -> _Ready:
    read, whole = _format(options, name)
    labels = [Labels(dict(options.labels))]
    if options.host:
        labels[0] = labels[0].or_host(options.host)
    pod = _POD_FILE.fullmatch(options.path) if name == "cri" else None
    if pod:
        labels.append(Labels(dict(zip(("namespace", "pod", "container"), pod.groups(), strict=True))))
    return _Ready(name, read, whole, [given for given in labels if given])


def _format(options: Options, name: str) -> tuple[Read, Whole]:
    limit = options.max_record_bytes
    if name in ("json", "json_body"):
        return (_json_body if name == "json_body" else _json)(options), _all
    if name == "journal":
        return _journal(limit), _all
    if name == "api_requests":
        return _api_requests(limit), _all
    zone = _zone(options)
    multiline = _multiline(options)
    if name in CONTAINERS:
        containers = ContainerLines(CONTAINERS[name], limit, zone, multiline)
        return _with_stamps(containers.decode, zone), containers.whole
    if name in ("access", "logfmt"):
        values_of = access_log.values_of if name == "access" else LogFmt(zone).values_of
        return _with_stamps(FormatLines(limit, values_of).decode, zone), _all
    pattern = UserLines(UserFormat(name, options.pattern), zone).values_of if options.pattern else None
    if multiline is None:
        return _with_stamps(FormatLines(limit, pattern, must_match=True).decode, zone), _all
    lines = FormatLines(limit, pattern, multiline.split, must_match=True)
    return _with_stamps(lines.decode, zone), lambda data, _now_ns: multiline.whole(data, limit)


def _all(data: bytes, _now_ns: int) -> int:
    """How much is whole where each line is a record."""
    return len(data)


def _json(options: Options) -> Read:
    lines = JsonLines(options.max_record_bytes, _zone_of_json(options))
    return lambda data, state: (lines.decode(data, state.now_ns, offset=state.offset), state.day_first)


def _json_body(options: Options) -> Read:
    lines = JsonLines(options.max_record_bytes, _zone_of_json(options))
    return lambda data, state: (decode_body(data, lines, state.now_ns), state.day_first)


def _journal(limit: int) -> Read:
    return lambda data, state: (journal.decode(data, state.offset or 0, state.now_ns, limit), state.day_first)


def _api_requests(limit: int) -> Read:
    requests = ApiRequests(limit)
    return lambda data, state: (requests.decode(data, state.offset or 0), state.day_first)


def _zone(options: Options) -> Zone:
    try:
        return zones.zone(options.zone)
    except ValueError as error:
        raise SettingsError(str(error)) from None


def _zone_of_json(options: Options) -> Zone | None:
    """Times in JSON are read faster where it is UTC."""
    return None if options.zone == "UTC" else _zone(options)


def _with_stamps(decode: Callable[[bytes, int, Stamps], Decoded], zone: Zone) -> Read:
    def read(data: bytes, state: State) -> tuple[Decoded, bool | None]:
        stamps = Stamps(zone, state.now_ns, state.day_first)
        return decode(data, state.offset or 0, stamps), stamps.day_first

    return read


def _multiline(options: Options) -> Multiline | None:
    if options.multiline_start:
        return Multiline(ByPattern(options.multiline_start))
    return Multiline(ByIndentation()) if options.multiline else None


def _last_time_ns(decoded: Decoded, now_ns: int) -> int | None:
    """The time of the last row that has another than that of reading."""
    now = b"%d\t" % now_ns
    rows = decoded.rows
    if rows.startswith(now) and rows.count(b"\n" + now) == decoded.count - 1:
        return None
    end = len(rows) - 1
    while end > 0:
        start = rows.rfind(b"\n", 0, end) + 1
        if not rows.startswith(now, start):
            return int(rows[start : rows.index(b"\t", start)])
        end = start - 1
    return None
