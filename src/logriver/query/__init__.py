"""The search language: text to tree to SQL, pure.

`search/` calls it for every way in. It never touches the store.
"""
