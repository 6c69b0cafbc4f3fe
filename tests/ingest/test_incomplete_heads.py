"""What incomplete heads hold together is bounded, and strangers' go first."""

import pytest

from logriver.ingest.connections import Connections, Patience

KB = 1024
MOST_BYTES = 16 * KB * KB


class Peer:
    """A connection of which some of a head has come."""

    def __init__(self, known: bool) -> None:
        self.known = known
        self.ended = False

    def is_known(self) -> bool:
        return self.known

    def is_idle(self) -> bool:
        return False

    def check(self, now: float) -> None:
        pass

    def end(self) -> None:
        self.ended = True


def with_heads(connections: Connections, known: list[bool]) -> list[Peer]:
    """Connections with 64 kB of a head each, which those of `known` send after a request that was let in."""
    peers = [Peer(one) for one in known]
    for peer in peers:
        connections.add(peer)
    connections._look()
    for peer in peers:
        connections.holds(peer, 64 * KB)
    return peers


@pytest.mark.anyio
async def test_incomplete_heads_are_bounded_together_and_the_oldest_go() -> None:
    connections = Connections(10_000, Patience())
    peers = with_heads(connections, [False] * 300)
    ended = [peer.ended for peer in peers]
    assert ended == [True] * (300 - MOST_BYTES // (64 * KB)) + [False] * (MOST_BYTES // (64 * KB))
    # What goes away, or is complete, makes space for others.
    connections.remove(peers[-1])
    connections.holds(peers[-2], 0)
    others = with_heads(connections, [False, False])
    assert [peer.ended for peer in peers] == ended
    assert not any(peer.ended for peer in others)
    for peer in [*peers, *others]:
        connections.remove(peer)


@pytest.mark.anyio
async def test_a_stranger_goes_before_an_older_one_who_was_let_in() -> None:
    connections = Connections(10_000, Patience())
    peers = with_heads(connections, [True] * 200 + [False] * 100)
    assert not any(peer.ended for peer in peers[:200])
    assert sum(peer.ended for peer in peers[200:]) == 300 - MOST_BYTES // (64 * KB)
    for peer in peers:
        connections.remove(peer)
