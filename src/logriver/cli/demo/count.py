"""The demo's own statistics: counted from the file alone, by the definitions that the server promises."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

SUCCESS_BELOW = 400
# The mean and the share are rounded to five places from binary fractions; a value that lies exactly between two
# places may be rounded to either side. Counts, median and p99 are values of the file and must be equal.
_TIE = 0.000_010_01
_ROUNDED = ("uptime", "average_latency")


@dataclass(slots=True)
class Customer:
    """The requests of one customer."""

    statuses: list[int] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)

    def statistics(self) -> dict[str, float]:
        """The numbers of `GET /customers/{id}/stats`."""
        total = len(self.statuses)
        successful = sum(status < SUCCESS_BELOW for status in self.statuses)
        ordered = sorted(self.latencies)
        # The 99th percentile is a value that occurred; below a hundred values it is the largest.
        p99 = ordered[int(total * 0.99) - 1] if total >= 100 else ordered[-1]
        return {
            "total_requests": total,
            "successful_requests": successful,
            "failed_requests": total - successful,
            "uptime": round(100 * successful / total, 5),
            "average_latency": round(math.fsum(ordered) / total, 5),
            "median_latency": round(ordered[total // 2], 5),
            "p99_latency": round(p99, 5),
        }


@dataclass(slots=True)
class Count:
    """What a file of `api_requests` holds: its customers, and the first day (`YYYY-MM-DD`) that occurs."""

    customers: dict[str, Customer] = field(default_factory=dict)
    lines: int = 0
    first_day: str = "9999-12-31"


def count(path: Path) -> Count:
    """Read the file once."""
    found = Count()
    with path.open(encoding="utf-8") as file:
        for line in file:
            day, _, name, _, status, seconds = line.split()[:6]
            customer = found.customers.setdefault(name, Customer())
            customer.statuses.append(int(status))
            customer.latencies.append(float(seconds))
            found.lines += 1
            found.first_day = min(found.first_day, day)
    return found


def differences(counted: dict[str, float], answered: Mapping[str, object]) -> list[str]:
    """The names of the numbers in `counted` that the server's answer does not confirm."""
    return [name for name, value in counted.items() if not _confirms(answered.get(name), value, name)]


def _confirms(answered: object, counted: float, name: str) -> bool:
    if not isinstance(answered, int | float):
        return False
    return abs(answered - counted) <= _TIE if name in _ROUNDED else answered == counted
