"""Decoders: bytes of one protocol or format to rows, one file a protocol, pure functions without I/O.

`ingest/` and `follow/` call them. They never open a file or a socket, never wait, never read a clock.
"""
