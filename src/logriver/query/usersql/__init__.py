"""A user's SQL: read, checked against allow-lists and written anew; the engine's reading of the result, checked. Pure.

`search/sql.py` calls it. It never runs anything.
"""
