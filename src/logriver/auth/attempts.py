"""Wrong tokens, counted by the address they come from: after too many it has to wait.

Bounded in memory: of very many addresses the oldest are forgotten.
"""

import ipaddress

from logriver import clock
from logriver.errors import Overloaded

MAX_FAILURES = 30
"""Wrong tokens that one address may try in a minute."""
WINDOW_SECONDS = 60.0
MAX_ADDRESSES = 10_000

_NETWORK_BITS = 64


class Attempts:
    """Who failed how often since when. On one event loop."""

    def __init__(self) -> None:
        self._failures: dict[str, tuple[float, int]] = {}

    def check(self, address: str) -> None:
        """Raises `Overloaded` while `address` has to wait."""
        since, count = self._failures.get(_host_of(address), (0.0, 0))
        left = since + WINDOW_SECONDS - clock.monotonic()
        if count >= MAX_FAILURES and left > 0:
            raise Overloaded("too many wrong tokens from this address", retry_after_seconds=int(left) + 1)

    def failed(self, address: str) -> None:
        """One more wrong token from `address`."""
        host, now = _host_of(address), clock.monotonic()
        since, count = self._failures.pop(host, (now, 0))
        if now - since >= WINDOW_SECONDS:
            since, count = now, 0
        if len(self._failures) >= MAX_ADDRESSES:
            del self._failures[next(iter(self._failures))]
        self._failures[host] = (since, count + 1)


def _host_of(address: str) -> str:
    """One host: an IPv4 address, or the network of an IPv6 address, of which a host has as many as it likes."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return address
    return str(found.ipv4_mapped or ipaddress.ip_network((found, _NETWORK_BITS), strict=False))
