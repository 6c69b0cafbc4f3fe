"""Receiving: bytes from sockets to batches in a sink, and the answer.

The server mounts it; it calls the decoders. It never knows what is behind the sink.
"""
