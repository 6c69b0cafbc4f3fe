"""Lines of text to rows, one format a file.

Chosen by `decode/formats.py` and `decode/line_rules.py`. Never opens a file or a socket, never reads a clock.
"""
