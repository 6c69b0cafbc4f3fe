"""The server's own logs, as JSON lines on stderr or in a file.

`cli/` sets it up. It never decides what happens to a log line of a user.
"""
