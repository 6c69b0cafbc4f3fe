"""Searching: one use case a file, each from parsed words to rows, up to the watermark.

`api/` calls it. It never knows the queue or a protocol.
"""
