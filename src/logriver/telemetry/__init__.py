"""The server's and the agent's internal logs, as JSON lines on stderr or in a file, and through a sink in the store.

`cli/` sets it up, `server.py` and `agent.py` add the store. It never decides what happens to a log line of a user, and
never makes whoever logs wait.
"""
