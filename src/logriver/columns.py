"""The log table, declared once: its columns and the names they come under.

`store/ddl.py` makes the table from it, `query/sql/conditions.py` writes conditions on it, the decoders in
`decode/` fill it. How a field without a column is read out of `attributes` is declared here too: materialized columns
hold just that.
"""

import functools
import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

TABLE = "logs"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the table.

    `type` is ClickHouse's. `aliases` are the names under which a record may bring the value, the first that is there
    wins. `carried` is the type the value has in a queued row (section "Rows" below), empty for what the writer adds.
    `read` is the expression that turns the carried value into the column's.
    """

    name: str
    type: str
    aliases: tuple[str, ...] = ()
    carried: str = ""
    read: str = ""


WORD = "LowCardinality(String)"

COLUMNS = (
    Column(
        "timestamp",
        "DateTime64(9, 'UTC')",
        ("timestamp", "@timestamp", "time", "ts"),
        "Int64",
        "fromUnixTimestamp64Nano(timestamp, 'UTC')",
    ),
    Column("level", WORD, ("level", "severity", "lvl", "log.level"), "String"),
    Column(
        "message",
        "String",
        ("message", "msg", "body", "log", "text", "event", "MESSAGE", "@m", "@mt", "short_message"),
        "String",
    ),
    Column("service", WORD, ("service", "service.name"), "String"),
    Column("host", WORD, ("host", "hostname", "host.name"), "String"),
    Column("trace_id", "String", ("trace_id", "traceId", "trace.id"), "String"),
    Column("span_id", "String", ("span_id", "spanId", "span.id"), "String"),
    Column("attributes", "String", (), "String"),
    Column("_level", WORD, (), "String"),
    Column("_offset", "UInt64", (), "UInt64"),
    Column("_source", WORD, (), "String"),
    Column("_received", "DateTime64(9, 'UTC')", (), "Int64", "fromUnixTimestamp64Nano(_received, 'UTC')"),
    Column("_node", WORD),
    Column("_seq", "UInt64"),
    Column("_slice", "UInt32"),
)

# Rows. Between decoder and engine a record is one line of ClickHouse's TabSeparated format with the carried columns in
# the order above. A decoder writes all but the last two; `_source` and `_received` are the same for a whole batch, are
# kept once in its header, and are joined to each line when the block is cut.
ROW_COLUMNS = tuple(column for column in COLUMNS if column.carried)
DECODED_COLUMNS = ROW_COLUMNS[:-2]
ROW_FORMAT = 1
"""The version of the rows, as segments of the log and agents' messages say it; it grows when their columns change."""

HASHED_COLUMNS = tuple(column.name for column in DECODED_COLUMNS[1:-1])
"""All that a decoder makes of a line but its time and its offset: what a file is compared with its records by."""

ALIASES = {alias: column.name for column in COLUMNS for alias in column.aliases}
"""Alias to column, for the columns that a record can fill."""

GIVEN_BACK = ("timestamp", "level", "message", "service", "host", "trace_id", "span_id", "_source", "_received")
"""The columns of an answer, in its order, before `_id` and the other fields."""

RESERVED = frozenset(ALIASES) | {column.name for column in COLUMNS} | {"_id"}
"""Names that an answer uses itself: a left-over field of such a name is given back as `attributes.<name>`."""

# JSON's own grammar: a float reads "nan", "+5" and " 5" too, which are texts to us.
NUMBER = r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?"

MATERIALIZED_PREFIX = "p_"

# The paths that a name may mean grow with the square of its parts, or with their number.
_FEW_PARTS = 5
_MANY_PARTS = 12

MAX_NAME_LENGTH = 500
"""Characters of a field's name that can be asked for."""


def attribute_key(name: str) -> str:
    """The field's own name: `attributes.` only stands before names that an answer uses itself."""
    rest = name.removeprefix("attributes.")
    reserved = rest in RESERVED or rest.partition(".")[0] in RESERVED
    return rest if rest != name and reserved else name


def ways(key: str) -> list[tuple[str, ...]]:
    """What a name with dots may mean, as keys from the outermost to the innermost; the first that is there counts.

    The literal key, the path of its parts, then paths in which one key has dots itself, the one with most of them first
    (`a` and `b.c` for `a.b.c`). Of a name with many parts that is the last key, and of one with very many none.
    """
    parts = key.split(".")
    count = len(parts)
    joined = [
        (*parts[:start], ".".join(parts[start : start + length]), *parts[start + length :])
        for length in range(count - 1, 1, -1)
        for start in range(count - length + 1)
        if count <= _FEW_PARTS or (start + length == count and count <= _MANY_PARTS)
    ]
    return [(key,), *([tuple(parts)] if count > 1 else []), *joined]


def with_dots(way: tuple[str, ...]) -> str:
    """The key of a path that has dots, in JSON."""
    return msgspec.json.encode(max(way, key=lambda key: key.count("."))).decode()


def attribute_text(key: str, put: Callable[[str], str]) -> str:
    """SQL for the engine's text of a field without a column; NULL where the record does not have it.

    It is that of the first of `ways` that is there. `put` gives the SQL for a string: `literal`, or a bound parameter.
    """
    put = functools.cache(put)

    def text(way: tuple[str, ...]) -> str:
        return f"JSONExtract(attributes, {', '.join(map(put, way))}, 'Nullable(String)')"

    def is_there(way: tuple[str, ...]) -> str:
        return f"JSONHas(attributes, {', '.join(map(put, way))})"

    literal_key, *paths = ways(key)
    if not paths:
        return text(literal_key)
    path, *joined = paths
    if not joined:
        return f"if({is_there(literal_key)}, {text(literal_key)}, {text(path)})"
    # Documents are only read again where the bytes of a key with dots stand in them.
    dotted = [f"position(attributes, {put(name)}) = 0" for name in sorted(set(map(with_dots, joined)))]
    is_plain = f"(position(attributes, '\\\\') = 0 AND {' AND '.join(dotted)})"
    checks = [f"{is_there(literal_key)}, {text(literal_key)}", f"{is_plain} OR {is_there(path)}, {text(path)}"]
    checks += [f"{is_there(way)}, {text(way)}" for way in joined[:-1]]
    return f"multiIf({', '.join(checks)}, {text(joined[-1])})"


def attribute_number(text: str) -> str:
    """SQL for the number that the value of `text` (SQL too) wholly is; NULL where it is none, or beyond a float."""
    number = f"toFloat64OrNull({text})"
    # Most are whole numbers as they are written; what is asked first of them costs less than the pattern.
    is_whole = f"toString(toInt64OrZero({text})) = {text}"
    return f"if({is_whole} OR isFinite({number}) AND match({text}, {literal(f'^{NUMBER}$')}), {number}, NULL)"


def materialized_columns(key: str) -> tuple[str, str]:
    """The names of a materialized field's columns, of its text and of its number.

    They are made from what the columns hold, so a version that reads a field in another way has other columns.
    """
    content = attribute_text(key, literal) + attribute_number("text")
    name = MATERIALIZED_PREFIX + hashlib.sha256(content.encode()).hexdigest()[:8]
    return f"{name}_text", f"{name}_number"


def literal(text: str) -> str:
    """`text` as a string in SQL, for statements that take no parameters."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\0", "\\0")
    return f"'{escaped}'"
