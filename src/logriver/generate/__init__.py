"""Load and demo data: seeded log lines in several formats, at a given pace.

The commands `generate` and `demo` call it, and so do benchmarks. It never opens a file or a socket: who calls it
decides where the lines go.
"""
