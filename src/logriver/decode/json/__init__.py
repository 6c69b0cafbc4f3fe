"""JSON bodies and lines to rows.

Called by `ingest/` for bodies and by `follow/` for lines. Never opens a file or a socket, never reads a clock.
"""
