"""What conditions of the search language mean, written anew in Python and slow: the records they should find.

Each function gives a test of one record. Nothing of the parser, the tree or the SQL is used here.
"""

import json
import re
from collections.abc import Callable
from typing import Any

from logriver import clock

Json = Any
Holds = Callable[["Record"], bool]

NAMES = {
    "time": ("timestamp", "@timestamp", "time", "ts"),
    "message": ("message", "msg", "body", "log", "text", "event", "MESSAGE", "@m", "@mt", "short_message"),
    "level": ("level", "severity", "lvl", "log.level"),
    "trace_id": ("trace_id", "traceId", "trace.id"),
    "span_id": ("span_id", "spanId", "span.id"),
    "service": ("service", "service.name"),
    "host": ("host", "hostname", "host.name"),
}
SEVERITIES = ("trace", "debug", "info", "warn", "error", "fatal")
MEANINGS = {"warning": "warn", "err": "error", "notice": "info", "information": "info"}
MEANINGS |= dict.fromkeys(("crit", "critical", "alert", "emerg", "panic"), "fatal")
MEANINGS |= {str(10 * place): level for place, level in enumerate(SEVERITIES, 1)}
JSON_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", re.ASCII)


class Record:
    """A record as the language sees it: columns by their names, and the other fields."""

    def __init__(self, sent: dict[str, Json]) -> None:
        self.fields = dict(sent)
        self.columns: dict[str, str] = {}
        for column, names in NAMES.items():
            self.columns[column] = self._take(column, names)
        self.sent_level = self.columns["level"]
        word = self.sent_level.strip().lower()
        self.columns["level"] = MEANINGS.get(word, word)
        self.time_ns = clock.from_text(self.columns.pop("time"))

    def _take(self, column: str, names: tuple[str, ...]) -> str:
        types = (str, int, float) if column in ("time", "level") else (str,)
        for name in names:
            if type(self.fields.get(name)) in types:
                return str(self.fields.pop(name))
        for name in names:
            outer, dot, inner = name.partition(".")
            nested = self.fields.get(outer) if dot and name not in self.fields else None
            if isinstance(nested, dict) and type(nested.get(inner)) in types:
                return str(nested[inner])
        return ""

    def value(self, name: str) -> Json:
        """The value of a field without a column: of the literal name if it is there, else at a path to it."""
        name = name.removeprefix("attributes.")
        return inner(self.fields, name.split("."))

    def text(self, name: str) -> str | None:
        """The text of any field, None where it is not there."""
        column = next((column for column, names in NAMES.items() if name in names), None)
        if column is not None:
            return self.columns[column] or None
        return text_of(self.value(name))

    def texts(self, name: str) -> list[str]:
        """The text of any field, and of one that is a list those of its elements."""
        text = self.text(name)
        value = self.value(name) if name not in sum(NAMES.values(), ()) else None
        inside = [text_of(element) for element in value] if isinstance(value, list) else []
        return [there for there in (text, *inside) if there is not None]

    @property
    def message(self) -> str:
        """Empty where there is none."""
        return self.columns["message"]


def inner(value: Json, parts: list[str]) -> Json:
    """What stands at `parts`, of which some together may be one key; the longest keys count."""
    for end in range(len(parts), 0, -1):
        key = ".".join(parts[:end])
        if isinstance(value, dict) and key in value:
            return inner(value[key], parts[end:]) if end < len(parts) else value[key]
    return None


def text_of(value: Json) -> str | None:
    """A value as text: numbers as short as they go, objects and lists as JSON."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def number_of(text: str | None) -> float | None:
    """The number that a text wholly is."""
    return float(text) if text is not None and JSON_NUMBER.fullmatch(text) else None


# -- words of the message ----------------------------------------------------------------------------------------------


def word(text: str) -> Holds:
    """A whole word, in any case."""
    return lambda record: text.lower() in words_of(record.message)


def phrase(*words: str) -> Holds:
    """These words, one behind the other."""

    def holds(record: Record) -> bool:
        there = words_of(record.message)
        return any(there[place : place + len(words)] == list(words) for place in range(len(there)))

    return holds


def part(text: str) -> Holds:
    """Any part of the message, in any case."""
    return lambda record: text.lower() in record.message.lower()


def word_like(pattern: str) -> Holds:
    """A word that the pattern matches wholly."""
    return lambda record: any(re.fullmatch(pattern, there) for there in words_of(record.message))


def words_of(text: str) -> list[str]:
    """Runs of letters and digits; whatever is beyond ASCII counts as a letter."""
    return re.findall(r"[a-z0-9\u0080-\U0010ffff]+", text.lower())


# -- fields ------------------------------------------------------------------------------------------------------------


def is_(name: str, value: str) -> Holds:
    """Exactly this value, or the same number; of a list one element is."""

    def holds(record: Record) -> bool:
        wanted = number_of(value)
        exact = wanted is not None and abs(wanted) < 2**53
        return any(text == value or (exact and wanted == number_of(text)) for text in record.texts(name))

    return holds


def level(*meanings: str) -> Holds:
    """A level of one of these meanings."""
    return lambda record: record.columns["level"] in meanings


def exists(name: str) -> Holds:
    """There, not null and not an empty text."""
    return lambda record: record.text(name) not in (None, "")


def number(name: str, check: Callable[[float], bool]) -> Holds:
    """A number, or a text that wholly is one, of which the check is true."""

    def holds(record: Record) -> bool:
        there = number_of(record.text(name))
        return there is not None and check(there)

    return holds


def text(name: str, check: Callable[[str], object]) -> Holds:
    """A field whose text the check is true of."""

    def holds(record: Record) -> bool:
        there = record.text(name)
        return there is not None and bool(check(there))

    return holds


def inside(name: str, check: Callable[[str], object]) -> Holds:
    """The same, or a list with an element whose text the check is true of."""
    return lambda record: any(check(there) for there in record.texts(name))


def time(check: Callable[[str], bool]) -> Holds:
    """A time of which, in RFC 3339 with nine digits, the check is true."""

    def holds(record: Record) -> bool:
        seconds, rest = divmod(record.time_ns, clock.SECOND_NS)
        whole = clock.to_text(seconds * clock.SECOND_NS).removesuffix("Z")
        return check(f"{whole}.{rest:09}Z")

    return holds


def anywhere(value: str) -> Holds:
    """A word of the message, or the whole value of any field, at any depth."""

    def holds(record: Record) -> bool:
        texts = {text_of(leaf) for leaf in leaves(record.fields)}
        texts |= {there for name, there in record.columns.items() if name != "message"} | {record.sent_level}
        wanted = number_of(value)
        same = value in texts or (wanted is not None and wanted in {number_of(there) for there in texts})
        return same or value.lower() in words_of(record.message)

    return holds


def leaves(value: Json) -> list[Json]:
    """The scalars inside of a JSON value."""
    if isinstance(value, dict):
        value = list(value.values())
    return [leaf for inner in value for leaf in leaves(inner)] if isinstance(value, list) else [value]


# -- together ----------------------------------------------------------------------------------------------------------


def everything(_record: Record) -> bool:
    """Holds of all."""
    return True


def all_of(*parts: Holds) -> Holds:
    """Each of them holds."""
    return lambda record: all(part(record) for part in parts)


def any_of(*parts: Holds) -> Holds:
    """One of them holds."""
    return lambda record: any(part(record) for part in parts)


def not_(part: Holds) -> Holds:
    """It does not hold."""
    return lambda record: not part(record)
