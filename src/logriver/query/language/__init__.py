"""Search text to tokens to a tree, and the tree to its canonical text. Pure.

Called by whatever takes a search text. Never knows of SQL, the table or the engine.
"""
