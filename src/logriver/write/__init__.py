"""Writing: runs of the queue to blocks in the store, verified by their numbers before they are acknowledged.

The server starts it; it is the only caller of `Store.insert`. It never decodes a protocol.
"""
