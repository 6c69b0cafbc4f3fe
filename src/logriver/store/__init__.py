"""The store: the log table on the embedded ClickHouse engine, behind an interface that a cluster fulfils too.

`write/` inserts blocks, `search/` asks SQL. It never knows a protocol, the queue or the search language.
"""
