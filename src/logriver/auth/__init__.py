"""The doors: who may come in, asked once for every request before anything of it is read.

`server.py` asks the door before it hands a request to `ingest/` or `api/`. It never reads a body and never knows what
a call does.
"""
