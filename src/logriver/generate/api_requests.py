"""Format `api_requests`: date, time, customer, path, status and seconds, as in

    2024-09-14 16:15:35 cust_5 /api/v1/resource4 200 0.772

A line is written when its request ends but carries the time at which it began, so lines are not in time order.
"""

from collections.abc import Iterator
from random import Random

from logriver.generate.times import utc
from logriver.generate.vocabulary import PATHS, STATUSES

CUSTOMERS = 20


def lines(random: Random, start_ns: int, step_ns: int) -> Iterator[bytes]:
    """Endless lines, written from `start_ns` on in steps of `step_ns`; no line is from after its writing."""
    time_ns = start_ns
    while True:
        bits = random.getrandbits(32)
        latency_seconds = random.lognormvariate(-1.6, 0.8)
        began_second = (time_ns - int(latency_seconds * 1e9)) // 1_000_000_000 - bits % 3
        yield (
            f"{utc(began_second, '%Y-%m-%d %H:%M:%S')} cust_{(bits >> 2) % CUSTOMERS + 1} {PATHS[(bits >> 8) % 16]} "
            f"{STATUSES[(bits >> 12) % 32]} {latency_seconds:.3f}\n"
        ).encode()
        time_ns += step_ns
