"""The parts of `logriver verify`: reading a file anew and comparing its lines with records.

Called by `cli/commands/verify.py` alone. Changes nothing on the server.
"""
