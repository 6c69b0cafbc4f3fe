"""The own log: one JSON object a line, on stderr or in a file.

WARN is unexpected with nothing lost; ERROR is something lost, or an operator is needed. Fields of a line go into
`extra={"fields": {...}}` of the logging call.
"""

import logging
import sys
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from logriver.errors import SettingsError

_LEVELS = {"WARNING": "warn", "CRITICAL": "fatal"}


class JsonLines(logging.Formatter):
    """time, level, logger, message, the call's own fields, and the traceback of an exception under `exception`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line without its end."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")[:-6] + "Z",
            "level": _LEVELS.get(record.levelname, record.levelname.lower()),
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name, value in getattr(record, "fields", {}).items():
            line.setdefault(name, value)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line, enc_hook=str).decode()


def setup(log_file: Path | None = None, level: int = logging.INFO) -> None:
    """Send every logger's lines to `log_file` (appended) or to stderr. Called once, before anything logs.

    Uvicorn's access log stays off: a line for each request would cost more than the request. Raises `SettingsError`
    where the file cannot be written.
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
