"""The search language: text to tree to SQL, pure.

`search/` calls it for everything that is asked. It never touches the store.
"""
