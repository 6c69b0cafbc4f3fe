"""What commands print: records, tables, lines, progress, on a terminal, in a pipe or into a file.

Called by `cli/commands/`. Never asks a server.
"""
