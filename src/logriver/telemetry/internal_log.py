"""The internal log: one JSON object a line, on stderr or in a file.

WARN is unexpected with nothing lost; ERROR is something lost, or an operator is needed. Fields of a line go into
`extra={"fields": {...}}` of the logging call. A line that belongs to a request has its `trace_id` and `span_id`.
"""

import logging
import sys
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from logriver.errors import SettingsError
from logriver.trace import current_trace

_LEVELS = {"WARNING": "warn", "CRITICAL": "fatal"}
_exceptions = logging.Formatter()


class JsonLines(logging.Formatter):
    """`line_of`, as text."""

    def format(self, record: logging.LogRecord) -> str:
        """One line without its end."""
        return encode(line_of(record)).decode()


def line_of(record: logging.LogRecord) -> dict[str, object]:
    """time, level, logger, message, trace, the call's own fields, and the traceback of an exception under `exception`.

    To be called where the line is logged: the trace is that of the calling task or thread.
    """
    line: dict[str, object] = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")[:-6] + "Z",
        "level": _LEVELS.get(record.levelname, record.levelname.lower()),
        "logger": record.name,
        "message": record.getMessage(),
    }
    if trace := current_trace():
        line |= {"trace_id": trace.trace_id, "span_id": trace.span_id}
    for name, value in getattr(record, "fields", {}).items():
        line.setdefault(name, value)
    if record.exc_info:
        line["exception"] = _exceptions.formatException(record.exc_info)
    return line


def encode(line: dict[str, object]) -> bytes:
    """`line` as JSON. Names of files may be no UTF-8: their odd bytes are shown as escapes."""
    try:
        return msgspec.json.encode(line, enc_hook=str)
    except UnicodeEncodeError:
        shown = {name: str(value).encode(errors="backslashreplace").decode() for name, value in line.items()}
        return msgspec.json.encode(shown)


def setup(log_file: Path | None = None, level: int = logging.INFO) -> None:
    """Send every logger's lines to `log_file` (appended) or to stderr. Called once, before anything logs.

    Uvicorn's access log stays off: a line for each batch that comes in would cost more than the batch, and questions
    have lines of ours (`api/tracing.py`). Raises `SettingsError` where the file cannot be written.
    """
    try:
        handler = logging.FileHandler(log_file) if log_file else logging.StreamHandler(sys.stderr)
    except OSError as error:
        raise SettingsError(f"log file {str(log_file)[:200]!r} cannot be written: {error.strerror}") from None
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    logging.captureWarnings(True)
    # These would log each request of a client, or each wake-up of the file watcher.
    for quiet in ("httpx", "httpcore", "watchfiles"):
        logging.getLogger(quiet).setLevel(logging.WARNING)
    logging.getLogger("uvicorn.access").disabled = True
