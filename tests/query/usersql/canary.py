"""Statements to be refused, what they reach for, and what the engine says that a statement would touch."""

import re
import socket
import threading
from contextlib import suppress
from pathlib import Path

from logriver.columns import TABLE
from logriver.errors import LogriverError
from logriver.query.usersql.functions import is_allowed
from logriver.store.base import Limits
from logriver.store.embedded import Embedded

HERE = Path(__file__).parent
SECRET = "what no statement may show"
CONTINUED = re.compile(r"\n(?!;|, )")
SECTIONS = re.split(r"^# .*\n", (HERE / "hostile.txt").read_text(), flags=re.MULTILINE)
HOSTILE = [statement for section in SECTIONS for statement in CONTINUED.split(section.strip()) if statement]
USEFUL = re.findall(r"^[A-Z].*$", (HERE / "useful.txt").read_text(), re.MULTILINE)

_EXPLAIN = "EXPLAIN QUERY TREE run_passes = 1, passes = 1"
_FUNCTION = re.compile(r"function_name: (\w+)")
_TABLE = re.compile(r"table_(?:function_)?name: ([^,\n]+)")
_OWN_TABLES = {f"default.{TABLE}", "system.one"}
# What the engine makes of expressions itself; `system.one` is what a SELECT without FROM reads.
_OWN_FUNCTIONS = {"in", "notIn", "globalIn", "__getScalar", "exists", "grouping", "__actionName"}


class Canary:
    """A file to be read, a path to be written, and a port to be called: all that happens to them is noted."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "secret.csv"
        self.file.write_text(SECRET)
        self.made = directory / "made.csv"
        self.calls = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._listen, daemon=True).start()

    def put(self, statement: str) -> str:
        """`statement` with this canary in it."""
        statement = statement.replace("CANARY_FILE", str(self.file)).replace("CANARY_MADE", str(self.made))
        return statement.replace("CANARY_ADDRESS", self.address)

    def close(self) -> None:
        self._socket.close()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                self._socket.accept()[0].close()
                self.calls += 1


class Witness:
    """The engine, asked what it makes of a statement: which functions it would call and which tables read."""

    def __init__(self, engine: Embedded, canary: Canary) -> None:
        self._engine = engine
        self._canary = canary

    def touched(self, sql: str) -> set[str]:
        """What a statement reaches beyond the log table and the allowed functions, and shows of the canary."""
        params = {"watermark0": 10}
        found: set[str] = set()
        texts = []
        try:
            tree = self._engine.query_text(f"{_EXPLAIN} {sql}", "TabSeparatedRaw", params).decode(errors="replace")
            found |= set(_TABLE.findall(tree)) - _OWN_TABLES
            found |= {name for name in _FUNCTION.findall(tree) if not is_allowed(name)} - _OWN_FUNCTIONS
            texts.append(tree)
            texts.append(str(self._engine.query(sql, params, Limits(seconds=2, memory_bytes=200_000_000)).rows))
        except (LogriverError, ValueError) as error:
            texts.append(str(error))
        if any(SECRET in text for text in texts):
            found.add("the secret")
        if self._canary.made.exists():
            found.add("a file was made")
        return found
