"""What is shown of followed files: the ledger, which knows what is committed, joined with what their followers say now.

The ledger has every incarnation of every follower, connected or not. Sizes, and so how far a file is behind, only its
follower knows.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from logriver import clock
from logriver.file_position import MAX_GAPS, Committed, Gap
from logriver.follow.paths import JOURNAL
from logriver.follow.sources import SourceStatus
from logriver.ship.frames import AgentSource

MOST_INCARNATIONS = 100
"""So many incarnations of one source are shown, the last changed."""


FileStatus = SourceStatus | AgentSource
"""How far one file is followed, from here or from an agent."""

Statuses = Mapping[str, Sequence[FileStatus]]
"""What the followers say that are connected, by their names."""


@dataclass(slots=True)
class FollowedSource:
    """All that one follower has under one path. `statuses` is None while the follower is not connected."""

    follower: str
    path: str
    committed: list[Committed] = field(default_factory=list)
    statuses: list[FileStatus] | None = None

    @property
    def key(self) -> tuple[str, str]:
        """Its place in the order in which sources are shown."""
        return self.path, self.follower

    def shown(self) -> dict[str, object]:
        """The source as an answer has it."""
        statuses = self.statuses or []
        # Of a file that was rotated or deleted there may be two: the last one found at the path is the source's own.
        at_path = [status for status in statuses if status.file == self.path]
        own = next(reversed(at_path or statuses), None)
        committed_bytes = own.committed_bytes if own else self.committed[-1].end
        last_event_ns = max(
            [committed.last_event_ns for committed in self.committed] + [status.last_event_ns for status in statuses],
            default=0,
        )
        gaps = [gap for committed in self.committed for gap in committed.gaps]
        return {
            "path": self.path,
            "follower": self.follower,
            "connected": self.statuses is not None,
            "format": own.format if own else "",
            "unit": "entries" if self.path.startswith(JOURNAL) else "bytes",
            "file": own.file if own else "",
            "committed_bytes": committed_bytes,
            "size_bytes": own.size_bytes if own else None,
            "lag_bytes": sum(status.lag_bytes for status in statuses) if self.statuses is not None else None,
            "lag_seconds": self._lag_seconds(),
            "last_event": _time(last_event_ns),
            "last_event_ns": last_event_ns,
            "error": next((status.error for status in statuses if status.error), "") or self._away(),
            "gaps": [_gap(gap) for gap in sorted(gaps, key=lambda gap: gap.noticed_ns)[-MAX_GAPS:]],
            "incarnations": [self._incarnation(committed) for committed in self.committed[-MOST_INCARNATIONS:]],
            "incarnation_count": len(self.committed),
        }

    def _lag_seconds(self) -> float | None:
        if self.statuses is None:
            return None
        return round(max((status.lag_seconds for status in self.statuses), default=0.0), 3)

    def _away(self) -> str:
        return "" if self.statuses is not None else f"its follower {self.follower[:100]!r} is not connected"

    def _incarnation(self, committed: Committed) -> dict[str, object]:
        identity, key = committed.identity, committed.identity.id
        status = next((status for status in self.statuses or () if status.identity == key), None)
        _, inode = committed.file_key
        return {
            "id": key,
            "inode": inode,
            "incarnation": identity.incarnation,
            "state": self._state(committed, status),
            "file": status.file if status else "",
            "committed_bytes": committed.end,
            "size_bytes": status.size_bytes if status else None,
            "committed": committed.ranges(),
            "crc32c": f"{committed.crc:08x}",
            "head_length": identity.head_length,
            "head_hash": identity.head_hash,
            "gaps": [_gap(gap) for gap in committed.gaps],
            "last_event": _time(committed.last_event_ns),
        }

    def _state(self, committed: Committed, status: FileStatus | None) -> str:
        if committed.over:
            return "truncated"
        if committed.gone_ns:
            return "gone"
        if status:
            return "followed"
        return "finished" if self.statuses is not None else "away"


class SourceList:
    """Joins both. The callables are cheap and never block."""

    def __init__(self, ledger: Callable[[], list[Committed]], statuses: Callable[[], Statuses]) -> None:
        self._ledger = ledger
        self._statuses = statuses

    def all(self) -> list[FollowedSource]:
        """Every source, by path; those of one path by follower."""
        statuses = self._statuses()
        found: dict[tuple[str, str], FollowedSource] = {}
        for committed in self._ledger():
            self._of(found, committed.identity.follower, committed.path, statuses).committed.append(committed)
        for follower, files in statuses.items():
            for status in files:
                source = self._of(found, follower, status.path, statuses)
                if source.statuses is not None:
                    source.statuses.append(status)
        return sorted(found.values(), key=lambda source: source.key)

    def behind(self) -> Iterator[tuple[str, int, float]]:
        """Of each connected follower its name, the bytes that it is behind in all, and the seconds at most."""
        for follower, files in self._statuses().items():
            lag_seconds = max((status.lag_seconds for status in files), default=0.0)
            yield follower, sum(status.lag_bytes for status in files), lag_seconds

    @staticmethod
    def _of(
        found: dict[tuple[str, str], FollowedSource], follower: str, path: str, statuses: Statuses
    ) -> FollowedSource:
        source = found.get((path, follower))
        if source is None:
            source = found[path, follower] = FollowedSource(
                follower, path, statuses=[] if follower in statuses else None
            )
        return source


def _gap(gap: Gap) -> dict[str, object]:
    return asdict(gap) | {"noticed": _time(gap.noticed_ns)}


def _time(time_ns: int) -> str | None:
    return clock.to_text(time_ns) if time_ns else None
