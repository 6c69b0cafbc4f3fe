"""The HTTP calls that answer: one routes file a resource, thin.

`server.py` mounts it over `search/`. It never writes SQL and never decides what a query means.
"""
