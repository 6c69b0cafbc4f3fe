"""Wrong tokens: counted by address and in all, bounded, forgotten after a while, answered late beyond a limit."""

import asyncio

import pytest

from logriver.auth.throttle import (
    DELAY_SECONDS,
    MAX_ADDRESSES,
    MAX_DELAYED,
    MAX_WRONG,
    MAX_WRONG_IN_ALL,
    WINDOW_SECONDS,
    Throttle,
)
from logriver.errors import LogriverError, Overloaded, Unauthenticated


class Clock:
    """What `clock.monotonic` gives."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr("logriver.clock.monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the answers waited, which takes no time here."""
    waited: list[float] = []
    at_once = asyncio.sleep

    async def sleep(seconds: float) -> None:
        waited.append(seconds)
        await at_once(0)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return waited


def answers(throttle: Throttle, *addresses: str) -> list[type[LogriverError]]:
    """What wrong tokens from these addresses, all at once, are told."""

    async def ask() -> list[type[LogriverError]]:
        asked = (throttle.wrong_token(address, "hint") for address in addresses)
        return [type(error) for error in await asyncio.gather(*asked, return_exceptions=True)]  # type: ignore[misc]

    return asyncio.run(ask())


def test_one_address_over_its_limit_waits_and_others_do_not(clock: Clock, slept: list[float]) -> None:
    counted = Throttle()
    assert answers(counted, *["2001:db8::1"] * MAX_WRONG) == [Unauthenticated] * MAX_WRONG
    assert slept == []

    # A neighbour in its network may be the same machine.
    assert answers(counted, "2001:db8::2", "2001:db8:0:1::1") == [Overloaded, Unauthenticated]
    assert slept == [DELAY_SECONDS]
    clock.now += WINDOW_SECONDS
    assert answers(counted, "2001:db8::1") == [Unauthenticated]


def test_who_comes_by_a_unix_socket_counts_as_one(clock: Clock, slept: list[float]) -> None:
    counted = Throttle()
    answers(counted, *[""] * MAX_WRONG)
    assert answers(counted, "", "10.0.0.1") == [Overloaded, Unauthenticated]


def test_many_addresses_share_a_limit(clock: Clock, slept: list[float]) -> None:
    counted = Throttle()
    told = answers(counted, *(f"10.1.{number // 250}.{number % 250}" for number in range(MAX_WRONG_IN_ALL + 2)))
    assert told == [Unauthenticated] * MAX_WRONG_IN_ALL + [Overloaded] * 2
    clock.now += WINDOW_SECONDS
    assert answers(counted, "10.1.0.1") == [Unauthenticated]


def test_few_answers_wait_at_one_time(clock: Clock, slept: list[float]) -> None:
    counted = Throttle()
    answers(counted, *["10.0.0.1"] * MAX_WRONG)
    assert answers(counted, *["10.0.0.1"] * (MAX_DELAYED + 50)) == [Overloaded] * (MAX_DELAYED + 50)
    assert len(slept) == MAX_DELAYED
    answers(counted, "10.0.0.1")
    assert len(slept) == MAX_DELAYED + 1


def test_addresses_are_bounded(clock: Clock) -> None:
    counted = Throttle()
    for number in range(MAX_ADDRESSES + 100):
        counted.count(f"10.{number // 65536}.{number // 256 % 256}.{number % 256}")
    assert len(counted._wrong) == MAX_ADDRESSES
