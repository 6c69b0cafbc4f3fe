"""One command a file, each with a function `run` whose parameters are its options.

Imported by `logriver.cli` when that command is called. What several commands need stands beside this folder.
"""
