"""Shipping: the client's side of another Logriver. Batches go to its sink, its questions come over a channel.

The agent starts it; commands take the server's address from here. It never reads a file and never knows who does.
"""
