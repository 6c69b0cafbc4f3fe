"""Search text to tokens to a tree, and the tree to its canonical text. Pure.

Called by whatever takes a search text. Knows the conditions and the phrases that pipes are made of; the pipes are
`query/pipes/`. Writes no SQL, and never knows of the table or the engine.
"""
