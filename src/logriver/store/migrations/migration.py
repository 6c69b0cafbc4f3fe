"""One migration: what it changes in the queue's file, and in the log table."""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Migration:
    """From the format before to its own.

    `table` are statements for the engine; they come first and must be safe to repeat. `state` changes the queue's file
    inside of a transaction that it neither begins nor ends.
    """

    state: Callable[[sqlite3.Connection], None]
    table: tuple[str, ...] = ()
