"""Following growing files into a sink: bytes to lines to batches with their byte range.

Server and agent start it; the sink's ledger is the only checkpoint. It never knows what is behind the sink.
"""
