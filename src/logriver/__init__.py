"""Logriver: a log platform in one process.

The folders are the steps of a log line's way; `ARCHITECTURE.md` in the repository is the map.
"""

__version__ = "0.1.0"
