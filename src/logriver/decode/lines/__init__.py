"""Lines of text to rows, one format a file.

Chosen by `decode/reference.py`. Never opens a file or a socket, never reads a clock.
"""
