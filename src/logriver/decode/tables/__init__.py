"""The patterns and names that every implementation of the decoders reads: times, levels, formats, records of lines.

Plain data, so that a compiled implementation recognises the same. Read once by `read.py`; nothing here is written.
"""
