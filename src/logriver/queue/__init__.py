"""The queue between receiving and storing: a write-ahead log, what it remembers of batches, and dead letters.

`ingest/` and `follow/` put batches in through `record.Sink`; `write/` takes them out and acknowledges. It never
knows a protocol, the engine or a query.
"""
