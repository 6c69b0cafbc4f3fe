"""Compat: the calls of earlier systems, whose users must not notice a difference: sending, searching, statistics.

`server.py` hands the ingest endpoints to the pipeline and what searches to the routes in `api/compat.py`. What exists
for these calls alone is here; nothing else depends on it, but for `api/`, which answers in their shapes.
"""
