"""What a search text may have been meant to be, and how it can go on at a cursor. Pure.

Called by `search/`, which asks the store whether a proposal finds anything. Never asks itself.
"""
