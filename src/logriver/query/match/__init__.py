"""A tree to a test of one record in Python, with the meaning of the SQL. Pure.

Called by `files/` for lines that were never stored. Never reads a file.
"""
