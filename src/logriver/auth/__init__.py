"""Access control: who asks, and whether they may come in, decided for every request before its body is read.

`server.py` asks `AccessControl` before it hands a request to `ingest/` or `api/`. It never reads a body and never
knows what a call does.
"""
