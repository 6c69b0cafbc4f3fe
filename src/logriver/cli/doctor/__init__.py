"""The checks of `logriver doctor`, by what they look at.

Called by `cli/commands/doctor.py` alone. Each gives findings and changes nothing.
"""
