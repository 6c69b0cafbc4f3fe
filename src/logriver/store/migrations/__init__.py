"""The data format: a list of numbered migrations. Applied one after the other to nothing, they give what is used now.

A migration is never changed after a release, and imports nothing that may change: what
it knows of the queue's file is text, so that it reaches over the folders whose files it converts. A test compares what
all of them make with what a fresh directory has (`queue/state.py`, `ddl.py`); a fresh directory is made by those.
`data_format.py` has the list, `convert.py` applies them.
"""
