"""Wrong tokens, counted by the address that they come from and in all; those beyond a limit are answered late.

Only who has shown a wrong token comes here: the right one is let in before anything is counted, so nobody can lock out
anybody else, not even from the same address, which behind a proxy all have. Bounded in memory: of very many addresses
the oldest are forgotten, and the limit of all holds.
"""

import asyncio
import ipaddress
from typing import NoReturn

from logriver import clock, metrics
from logriver.errors import Overloaded, Unauthenticated

MAX_WRONG = 30
"""Wrong tokens of one address in a minute that are answered at once."""
MAX_WRONG_IN_ALL = 300
"""The same of all addresses together."""
WINDOW_SECONDS = 60.0
MAX_ADDRESSES = 10_000
DELAY_SECONDS = 1.0
MAX_DELAYED = 100
"""Answers that wait at one time; more would only hold connections that others need."""

_NETWORK_BITS = 64


class Throttle:
    """Who was wrong how often since when. On one event loop."""

    def __init__(self) -> None:
        self._wrong: dict[str, tuple[float, int]] = {}
        self._in_all = (0.0, 0)
        self._delayed = 0

    async def wrong_token(self, address: str, hint: str) -> NoReturn:
        """Count one more. Raises `Unauthenticated`; over a limit, and then late, `Overloaded`."""
        metrics.wrong_tokens.inc()
        left = self.count(address)
        if not left:
            raise Unauthenticated("wrong token", hint=hint)
        if self._delayed < MAX_DELAYED:
            self._delayed += 1
            try:
                await asyncio.sleep(DELAY_SECONDS)
            finally:
                self._delayed -= 1
        raise Overloaded("wrong token, and too many of them came before", retry_after_seconds=int(left) + 1, hint=hint)

    def count(self, address: str) -> float:
        """Count a wrong token; the seconds until fewer are counted where it is over a limit, else 0."""
        now, host = clock.monotonic(), _host_of(address)
        since, count = _one_more(self._wrong.pop(host, (now, 0)), now)
        if len(self._wrong) >= MAX_ADDRESSES:
            del self._wrong[next(iter(self._wrong))]
        self._wrong[host] = since, count
        self._in_all = since_all, count_all = _one_more(self._in_all, now)
        left = since + WINDOW_SECONDS - now if count > MAX_WRONG else 0.0
        left_all = since_all + WINDOW_SECONDS - now if count_all > MAX_WRONG_IN_ALL else 0.0
        return max(left, left_all)


def _one_more(counted: tuple[float, int], now: float) -> tuple[float, int]:
    since, count = counted
    return (now, 1) if now - since >= WINDOW_SECONDS else (since, count + 1)


def _host_of(address: str) -> str:
    """One host: an IPv4 address, or the network of an IPv6 address, of which a host has as many as it likes.

    Who comes by a Unix socket has no address; they count as one.
    """
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return address
    return str(found.ipv4_mapped or ipaddress.ip_network((found, _NETWORK_BITS), strict=False))
