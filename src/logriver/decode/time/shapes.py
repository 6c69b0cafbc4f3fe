r"""The shapes in which log lines begin with a time, and what else such a beginning says about the line.

A shape is written as three patterns: what stands before the time, the time up to its minute, and what comes after. In
the second, `%Y %y %m %b %d %e %H %k %M` mean what they mean to `date` (`%N` is a minute that may have one digit,
`%s` seconds since 1970 or their thousandths, millionths, billionths), so that one text says both how to recognise it
and how to read it. Named groups in the others are the parts of `Stamp`. A year that is missing is not in the shape.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from operator import itemgetter
from string import ascii_letters, ascii_lowercase, ascii_uppercase, digits
from typing import NamedTuple

from logriver.decode.lines.levels import CAPITALS
from logriver.decode.time.zones import ABBREVIATIONS

MONTHS = {
    name: number
    for number, name in enumerate("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)  # noqa: SIM905
}


class Stamp(NamedTuple):
    """What the beginning of a line says; parts that its shape does not have are empty.

    `minute` is the time up to there, `ending` what completes it (zone, year, half of the day, milliseconds), `level` a
    mark that stands where only this shape has it, `extra` the rest of an RFC 5424 header.
    """

    minute: str
    second: str
    fraction: str
    ending: str
    host: str
    service: str
    level: str
    extra: str


_DIRECTIVES = {
    "%Y": r"(?P<Y>\d{4})",
    "%y": r"(?P<y>\d\d)",
    "%m": r"(?P<m>\d\d?)",
    "%b": f"(?P<b>{'|'.join(MONTHS)})",
    "%d": r"(?P<d>\d\d?)",
    "%e": r"(?P<d>[ \d]?\d)",
    "%H": r"(?P<H>\d\d)",
    "%k": r"(?P<H>[ \d]?\d)",
    "%M": r"(?P<M>[0-5]\d)",
    "%N": r"(?P<M>[0-5]?\d)",
    "%s": r"(?P<s>[12]\d{9}(?:\d{9}|\d{6}|\d{3})?)",
}
_DIRECTIVE = re.compile("%[A-Za-z]")
_NAME = re.compile(r"\?P<\w+>")


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """One way to begin a line: `pattern` recognises it, `parts` picks a `Stamp` of its groups, `minute` reads one."""

    pattern: re.Pattern[str]
    parts: Callable[[tuple[str, ...]], tuple[str, ...]]
    minute: re.Pattern[str]
    begins: str

    @property
    def nameless(self) -> str:
        """The pattern without its groups."""
        return _NAME.sub("?:", self.pattern.pattern).removesuffix("()")


def _shape(begins: str, before: str, minute: str, after: str) -> Shape:
    """The shape of lines whose first character is one of `begins`."""
    reading = _DIRECTIVE.sub(lambda found: _DIRECTIVES[found[0]], minute)
    recognising = _NAME.sub("?:", reading)
    # The last group is empty: the part of a stamp that the shape does not have.
    pattern = re.compile(f"{before}(?P<minute>{recognising}){after}()", re.ASCII)
    places = [pattern.groupindex.get(name, pattern.groups) - 1 for name in Stamp._fields]
    return Shape(pattern, itemgetter(*places), re.compile(reading, re.ASCII), begins)


_SECOND = r"(?P<second>[0-5]\d|60)"
_FRACTION = r"(?:[.,](?P<fraction>\d{1,9})\d*+)?"
_CLOCK = f":{_SECOND}{_FRACTION}"
_ABBREVIATION = rf"(?:{ABBREVIATIONS})\b"
# A zone after a blank needs its minutes: ` -08` may be anything.
_ZONE = (
    r"(?:Z\b|[+-]\d\d(?::?\d\d)?\b| [+-]\d\d:?\d\d\b| ?[AaPp][Mm]\b"
    rf"| {_ABBREVIATION}| [A-Z][a-z]{{2,9}}/[A-Z][A-Za-z_]{{2,20}}(?=\]))"
)
_ENDING = f"(?P<ending>{_ZONE})?+"
_OFFSET = r"(?P<ending>Z|[+-]\d\d:?\d\d)"
_DAY_NAME = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_PROGRAM = r"(?P<service>[\w/(][\w/.()@+-]*+)(?:\[[^\]\s]*+\])?+:(?=\s|$)"
_HOST = rf"(?!(?:{CAPITALS})\b)(?P<host>[^\s\[:]++)"
_HOST_AND_PROGRAM = rf"(?: (?!(?:{CAPITALS})\b)(?P<host>[^\s%]\S*+) *+(?:{_PROGRAM})?|(?=[\s:]|$))"
_PRIORITY = r"(?P<level><\d{1,3}>)"
_ISO = "%Y[-/.]%m[-/.]%d[T _]%k:%M"
_ISO_CLOCK = rf"(?::{_SECOND}{_FRACTION})?+(?!\d){_ENDING}"
# Only what can be a date, six digits are soon something else.
_SIX_DIGITS = r"(?=\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01]) )"
_EIGHT_DIGITS = r"(?=(?:19|20|21|22)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])[-T ])"
_LEVEL_FIRST = (
    rf"\[?(?P<level>{CAPITALS}|{CAPITALS.lower()}) *+\]?[:,]?\s*+(?:[|-]\s++)?+(?:\[[^\]\d][^\]]{{0,99}}+\]\s++)?+"
)
_LETTER_FIRST = r"\[?(?P<level>[VTDIWEFCA]),?+ "
# What `grep`, `docker compose logs` and collections of files put before a line.
_FILE_FIRST = r"(?:[^\s|]{1,200}?\.log(?:[^\s|]{0,99}+\s|[^\s:|]{0,99}+:(?:\d{1,9}:)?+) *+|[\w.-]{1,99}+ *+\| ++)"

ACCESS_LOG = _shape("[", r"\[", "%d/%b/%Y:%H:%M", rf":{_SECOND}{_FRACTION}(?P<ending> [+-]\d{{4}})?\]")
"""The time as access logs have it, wherever it stands."""

# A line has shapes of one family only, so that the one of the line before can be tried first.
_SHAPES: tuple[Shape | tuple[Shape, ...], ...] = (
    (
        # rsyslog's own format of files: always six digits and an offset, so that the next word can only be the host.
        _shape(digits, "", "%Y-%m-%d[T ]%H:%M", rf":{_SECOND}\.(?P<fraction>\d{{6}}){_OFFSET} {_HOST} +{_PROGRAM}"),
        # The journal's short-iso formats.
        _shape(
            digits,
            "",
            "%Y-%m-%dT%H:%M",
            rf"{_CLOCK}{_OFFSET} {_HOST} (?P<service>[\w/(][\w/.()@+-]*+)\[\d++\]:(?=\s|$)",
        ),
        # ISO 8601, log4j, dpkg, nginx' error log, databases.
        _shape(digits + "[", r"\[?", _ISO, _ISO_CLOCK),
    ),
    # `081109 203615`.
    _shape(digits, _SIX_DIGITS, "%y%m%d (?=[0-2])%H%M", rf"{_SECOND}{_FRACTION}(?=\s)"),
    # Spark: `17/06/09 20:10:40`.
    _shape(digits + "[", r"\[?", "%y/%m/%d %H:%M", _CLOCK),
    (
        # HealthApp: `20171223-22:15:29:606|`, each number as short as it can be.
        _shape(digits, _EIGHT_DIGITS, "%Y%m%d-%k:%N", r":(?P<second>[0-5]?\d|60)(?P<ending>:\d{1,3}\b)"),
        _shape(digits + "[", rf"\[?{_EIGHT_DIGITS}", "%Y%m%d[-T ]%k:%M", _CLOCK + _ENDING),
        _shape(digits + "[", rf"\[?{_EIGHT_DIGITS}", "%Y%m%d[-T ]%H%M", rf"{_SECOND}{_FRACTION}(?!\d){_ENDING}"),
    ),
    # MySQL before 5.7, Tornado.
    _shape(digits, _SIX_DIGITS, "%y%m%d %k:%M", _CLOCK),
    _shape("[", rf"\[(?P<level>[DIWEC]) {_SIX_DIGITS}", "%y%m%d %H:%M", _CLOCK),
    # Access logs, Tomcat, PHP, and dates as people write them.
    _shape(digits + "[", r"\[?", "%d[/ -]%b[/ -]%Y[: ]%k:%M", _CLOCK + _ENDING),
    _shape(
        digits + ascii_letters,
        r"\S{1,255} \S{1,255} [^\[]{1,255}\[",
        "%d/%b/%Y:%H:%M",
        rf":{_SECOND}(?P<ending> [+-]\d{{4}})\]",
    ),
    # Redis: `1234:M 02 Jan 2024 15:04:05.678 *`, and before 3.0 `[1234] 02 Jan 15:04:05.678 *`.
    _shape(digits, r"\d{1,10}:[A-Z] ", "%d %b %Y %H:%M", _CLOCK + r"(?: (?P<level>[.*#-])(?= ))?+"),
    _shape(
        "[" + digits, r"(?:\[\d{1,10}\] |\d{1,10}:[A-Z] )", "%d %b %H:%M", _CLOCK + r"(?: (?P<level>[.*#-])(?= ))?+"
    ),
    # Android.
    _shape(digits, "", "%m-%d %H:%M", rf":{_SECOND}\.(?P<fraction>\d{{3,9}})"),
    # Month first with slashes, else day first; a month above 12 is taken as a day.
    _shape(digits + "[", r"\[?", "%m/%d/%Y,?[ -]%k:%M", _CLOCK + _ENDING),
    _shape(digits + "[", r"\[?", "%d[.-]%m[.-]%Y,? %k:%M", _CLOCK + _ENDING),
    # Proxifier.
    _shape("[", r"\[", "%m\\.%d %H:%M", rf"{_CLOCK}\]"),
    # Squid and others: seconds since 1970.
    _shape(digits + "[", r"[\[(]?", "%s", r"(?:\.(?P<fraction>\d{1,9})\d*+)?(?=[\s\]):,|]|$)"),
    # Clusters: a number, node, component and state before the seconds since 1970.
    _shape(digits, r"\d{1,10} \S{1,99} \S{1,99} \S{1,99} ", "%s", r"(?= \d)"),
    # No day: Elixir, Serilog, logback as it comes.
    _shape(digits + "[", r"\[?", "%H:%M", rf"{_CLOCK}(?=[\s\]|])"),
    (
        # Blue Gene, whose second stamp has the microseconds, and the like: a label, seconds since 1970, day and node.
        _shape(
            "-" + ascii_uppercase,
            r"[A-Z-][\w-]{0,40} ",
            "%s",
            r" \d{4}\.\d\d\.\d\d (?P<host>\S{1,99}) \d{4}-\d\d-\d\d-\d\d\.\d\d\.\d\d\.(?P<fraction>\d{6}) \S{1,99}",
        ),
        _shape(
            "-" + ascii_uppercase,
            r"[A-Z-][\w-]{0,40} ",
            "%s",
            rf" \d{{4}}\.\d\d\.\d\d (?P<host>\S{{1,99}}) [A-Z][a-z][a-z] +\d+ [\d:]{{8}} \S{{1,99}} (?:{_PROGRAM})?+",
        ),
    ),
    # glog and klog.
    _shape("CDIWEF", "(?P<level>[CDIWEF])", "(?:%Y)?%m(?P<d>\\d\\d) %H:%M", rf":{_SECOND}\.(?P<fraction>\d{{1,9}})"),
    (
        # Java's own, Cisco's with a year.
        _shape(ascii_uppercase, "", "%b %e,? %Y,? %k:%M", _CLOCK + r"(?P<ending> [AP]M\b)?+"),
        # Syslog, RFC 3164, with or without its priority; Cisco's star says that its clock was never set.
        _shape(ascii_uppercase, "", "%b %e %H:%M", _CLOCK + _HOST_AND_PROGRAM),
    ),
    _shape("<", _PRIORITY, "%b %e %H:%M", _CLOCK + _HOST_AND_PROGRAM),
    _shape("*.", "[*.]", "%b %e %H:%M", f"{_CLOCK}(?=:)"),
    (
        # Syslog, RFC 5424.
        _shape(
            "<",
            rf"{_PRIORITY}[1-9]\d? ",
            "%Y-%m-%dT%H:%M",
            rf"{_CLOCK}{_OFFSET} (?:-|(?P<host>\S{{1,255}})) (?:-|(?P<service>\S{{1,255}})) "
            r"(?P<extra>\S{1,255} \S{1,255} (?:-|\[.*))",
        ),
        _shape("<", _PRIORITY, "%Y-%m-%d[T ]%H:%M", rf"{_CLOCK}{_ENDING} {_HOST} *+(?:{_PROGRAM})?"),
        _shape("<", _PRIORITY, _ISO, _ISO_CLOCK),
    ),
    # Apache's error log, `date` and ctime; RFC 1123.
    _shape(
        "[" + ascii_uppercase,
        rf"\[?{_DAY_NAME} ",
        "%b %e %H:%M",
        rf"{_CLOCK}(?P<ending>(?: (?:[AP]M\b|{_ABBREVIATION}|[+-]\d{{4}}\b)){{0,2}} \d{{4}})\b",
    ),
    _shape("[" + ascii_uppercase, rf"\[?{_DAY_NAME},? ", "%e %b %Y %H:%M", _CLOCK + _ENDING),
    # The level first: Rails, Dropwizard, Cassandra, Jupyter; Chrome.
    _shape("[VTDIWEFCA", _LETTER_FIRST + r"\[?", _ISO, _ISO_CLOCK),
    _shape("[", r"\[(?P<level>[DIWEC]) ", "%H:%M", _CLOCK),
    _shape("[" + ascii_letters, _LEVEL_FIRST + r"\[?", _ISO, _ISO_CLOCK),
    _shape("[" + ascii_letters, _LEVEL_FIRST + r"\[?", "%y/%m/%d %H:%M", _CLOCK),
    _shape("[" + ascii_letters, _LEVEL_FIRST + r"\[?", "%H:%M", rf"{_CLOCK}(?=[\s\]|])"),
    _shape("[", r"\[\d{1,10}:\d{1,10}:", "%m(?P<d>\\d\\d)/%H%M", rf"{_SECOND}\.(?P<fraction>\d{{1,9}})"),
    # Linux' audit.
    _shape(ascii_lowercase, r"(?:node=\S{1,255} )?type=\w{1,60} msg=audit\(", "%s", r"\.(?P<fraction>\d{3}):\d++\)"),
    _shape(ascii_letters + digits, _FILE_FIRST + r"\[?", _ISO, _ISO_CLOCK),
)


Family = tuple[Shape, ...]
"""Shapes of which a line may have several: the first that fits is taken."""


def _by_first_character() -> dict[str, tuple[Family, ...]]:
    families = [entry if isinstance(entry, tuple) else (entry,) for entry in _SHAPES]
    beginnings = {character for family in families for shape in family for character in shape.begins}
    return {
        first: tuple(family for family in families if any(first in shape.begins for shape in family))
        for first in beginnings
    }


SHAPES = _by_first_character()
"""The families of shapes that a line with that first character can have."""
