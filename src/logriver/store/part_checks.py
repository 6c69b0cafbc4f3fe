"""Reading all parts again and again at a low rate, so that damage is found before somebody needs what is damaged.

The engine compares sizes when it starts; only reading a part finds a flipped bit. Young parts are left out: they are
merged soon, and what was just written is still in memory. Where space is short nothing is checked, because a part that
is being read keeps the table from being attached again (`parts.py`).
"""

from collections.abc import Callable

from logriver import clock
from logriver.errors import LogriverError, StoreError
from logriver.store.damage import OF_TABLE, Damage
from logriver.threads import is_stopping

BYTES_PER_SECOND = 5_000_000
"""On average; a part is read as fast as the disk lets it."""
_AGAIN_SECONDS = 7 * 86_400.0
_FAILED_AGAIN_SECONDS = 3_600.0
_YOUNG_SECONDS = 3_600
# So soon it is seen that a part is to be searched for.
_PAUSE_SECONDS = 1.0
_IDLE_SECONDS = 30.0
_PARTS = f"SELECT name, bytes_on_disk FROM system.parts WHERE {OF_TABLE} AND active AND rows > 0"


class PartChecks:
    """One part a turn, or all while damage is searched for; `is_calm` says whether space and time are there.

    A part that cannot be checked ends the turn. The next one goes on behind it: others may be damaged too.
    """

    def __init__(self, ask: Callable[[str], bytes], damage: Damage, is_calm: Callable[[], bool]) -> None:
        self._ask = ask
        self._damage = damage
        self._is_calm = is_calm
        self._checked: dict[str, float] = {}
        self._next_at = 0.0
        self._unsearched: list[str] | None = None
        self._unchecked: set[str] = set()

    @property
    def problems(self) -> list[str]:
        """That it is not known of some parts whether they are damaged."""
        names = sorted(self._unchecked.copy())
        if not names:
            return []
        more = f" and {len(names) - 1} more" if names[1:] else ""
        return [f"part {names[0]}{more} could not be checked for damage, that is tried again"]

    def turn(self) -> float:
        """Search for damage that is known to be somewhere, else check the next part when it is time for that.

        The seconds until the next turn. Raises `StoreError`. A search ends early where the loop is to end.
        """
        if self._damage.search_all:
            self._search()
        elif clock.monotonic() >= self._next_at and self._is_calm():
            self._next_at = clock.monotonic() + _IDLE_SECONDS
            self._next_at = clock.monotonic() + self._check_next()
        return _PAUSE_SECONDS

    def _check_next(self) -> float:
        """Check the part that was not checked for longest; how long to leave the disk alone then."""
        sizes = self._parts(f"AND modification_time < now() - {_YOUNG_SECONDS}")
        if self._unchecked:
            self._unchecked &= self._parts("").keys()
        self._checked = {name: at for name, at in self._checked.items() if name in sizes}
        now = clock.monotonic()
        due = [name for name in sizes if now - self._checked.get(name, -_AGAIN_SECONDS) >= _AGAIN_SECONDS]
        if not due:
            return _IDLE_SECONDS
        name = min(due, key=lambda name: self._checked.get(name, -_AGAIN_SECONDS))
        self._check(name)
        return sizes[name] / BYTES_PER_SECOND

    def _search(self) -> None:
        """Check every part: queries fail over one of them, and do not say which."""
        if self._unsearched is None:
            self._unsearched = list(self._parts(""))
        while self._unsearched:
            if is_stopping():
                return
            self._check(self._unsearched.pop(0))
        self._unsearched = None
        self._damage.searched()

    def _check(self, name: str) -> None:
        """Raises `StoreError`, with the name of the part."""
        # It is not the next one again, however this ends.
        self._checked[name] = clock.monotonic() - _AGAIN_SECONDS + _FAILED_AGAIN_SECONDS
        try:
            self._damage.check(name)
        except LogriverError as error:
            self._unchecked.add(name)
            code, detail = (error.engine_code, error.detail) if isinstance(error, StoreError) else (0, "")
            message = f"part {name} cannot be checked: {error.message}"
            raise StoreError(message, engine_code=code, detail=detail) from None
        self._unchecked.discard(name)
        self._checked[name] = clock.monotonic()

    def _parts(self, condition: str) -> dict[str, int]:
        rows = (line.split("\t") for line in self._ask(f"{_PARTS} {condition}").decode().splitlines())
        return {name: int(size) for name, size in rows}
