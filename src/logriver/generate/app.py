"""Format `app`: the JSON log of an application of several services, one object a line."""

from collections.abc import Iterator
from random import Random

from logriver.generate.times import rfc_3339_ms
from logriver.generate.vocabulary import LEVELS, MESSAGES, METHODS, PATHS, SERVICES, STATUSES


def lines(random: Random, start_ns: int, step_ns: int) -> Iterator[bytes]:
    """Endless lines, the first at `start_ns`, each `step_ns` after the one before."""
    time_ns = start_ns
    while True:
        bits = random.getrandbits(192)
        digits = f"{bits:048x}"
        small = bits & 0xFFFFFFFFFF
        level = LEVELS[small % 16]
        messages = MESSAGES[level]
        message = messages[(small >> 4) % len(messages)] % ((small >> 7) % 100_000)
        yield (
            f'{{"timestamp":"{rfc_3339_ms(time_ns)}","level":"{level}","message":"{message}",'
            f'"service":"{SERVICES[(small >> 24) % 8]}","trace_id":"{digits[:32]}",'
            f'"http":{{"method":"{METHODS[(small >> 27) % 8]}","path":"{PATHS[(small >> 30) % 16]}",'
            f'"status":{STATUSES[(small >> 34) % 32]}}},"user_id":{(small >> 10) % 5000},'
            f'"duration_ms":{(small >> 16) % 40_000 / 10}}}\n'
        ).encode()
        time_ns += step_ns
