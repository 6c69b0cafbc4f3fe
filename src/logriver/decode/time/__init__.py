"""Times as text, in every shape that log lines have, to nanoseconds since 1970 in UTC.

Called by the decoders in `decode/json/` and `decode/lines/`. Never reads a clock: who calls passes the time of arrival.
"""
