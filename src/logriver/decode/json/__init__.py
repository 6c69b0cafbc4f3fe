"""JSON bodies and lines to rows.

Chosen by `decode/reference.py`. Never opens a file or a socket, never reads a clock.
"""
