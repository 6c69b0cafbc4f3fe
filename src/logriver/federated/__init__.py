"""Stored records and files on many machines as one answer; which agents there are and how they are asked.

Called by `api/`. Knows agents by their channel (`ship/frames.py`) and this machine by `files/`; never routes a request.
"""
