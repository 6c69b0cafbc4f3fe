"""Ingest: bytes from sockets to batches in a sink, and the answer.

The server mounts it; it calls the decoders. It never knows what is behind the sink. A protocol is one file in
`endpoints/`, behind the interface in `endpoint.py`; what all of them share is `pipeline.py`.
"""
