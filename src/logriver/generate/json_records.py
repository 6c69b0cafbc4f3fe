"""Format `json`: the record that most users send, with five keys of metadata; about 370 bytes a line."""

from collections.abc import Iterator
from random import Random

from logriver.generate.times import rfc_3339_ms
from logriver.generate.vocabulary import LEVELS, MESSAGES, REGIONS, STATUSES

# Looked up, because formatting numbers is what would take most of the time of a line.
_RESOURCES = tuple(f"server-{number:04d}" for number in range(2000))


def lines(random: Random, start_ns: int, step_ns: int) -> Iterator[bytes]:
    """Endless lines, the first at `start_ns`, each `step_ns` after the one before."""
    time_ns = start_ns
    while True:
        # One draw for the ids, which are its hexadecimal digits, and one for the choices, which are remainders of it:
        # a call for each value would cost more than all the rest of the line.
        digits = f"{random.getrandbits(220):055x}"
        bits = random.getrandbits(60)
        level = LEVELS[bits % 16]
        messages = MESSAGES[level]
        message = messages[(bits >> 4) % len(messages)] % ((bits >> 8) % 100_000)
        milliseconds = (bits >> 30) % 4999 + 1
        yield (
            f'{{"level":"{level}","message":"{message} by node {(bits >> 6) % 64} in {milliseconds} ms",'
            f'"resourceId":"{_RESOURCES[(bits >> 12) % 2000]}",'
            f'"timestamp":"{rfc_3339_ms(time_ns)}","traceId":"{digits[:32]}","spanId":"{digits[32:48]}",'
            f'"commit":"{digits[48:]}","metadata":{{"parentResourceId":"{_RESOURCES[(bits >> 22) % 1000]}",'
            f'"region":"{REGIONS[bits >> 58]}","latency_ms":{milliseconds},'
            f'"status":{STATUSES[(bits >> 44) % 32]},"customer":"cust_{(bits >> 49) % 50 + 1}"}}}}\n'
        ).encode()
        time_ns += step_ns
