"""A tree to SQL over the log table, with bound parameters. Pure.

Called by `search/` and `query/pipes/`. The only place that writes conditions; never runs a statement.
"""
