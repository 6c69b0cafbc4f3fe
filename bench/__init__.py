"""Benchmarks: what Logriver takes in and what it costs, measured from outside on a real server process.

`make bench` runs `python -m bench`; the figures go to `RESULTS.md`. Clients are processes of their own, so that their
CPU is never counted as the server's. Linux only: the figures are read from `/proc`.
"""
