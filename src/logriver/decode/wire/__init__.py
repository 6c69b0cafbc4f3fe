"""Formats of other programs and of the agent, one a file, to rows.

Called by `ingest/`, `follow/` and `ship/`. Never opens a file or a socket, never reads a clock.
"""
