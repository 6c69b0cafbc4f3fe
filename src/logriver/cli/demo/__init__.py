"""The parts of `logriver demo`: server and agents as child processes, and a count of its own.

Called by `cli/commands/demo.py` alone.
"""
