"""Parts are checked one after the other, whatever becomes of one of them, and not longer than the loop is to go on."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from logriver.columns import TABLE
from logriver.errors import StoreError
from logriver.store import part_checks
from logriver.store.embedded import Embedded
from logriver.threads import SupervisedThread
from tests.store.test_part_damage import BLOCKS, block, open_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Embedded]:
    """A store of three parts."""
    opened = open_store(tmp_path)
    opened.query_text(f"SYSTEM STOP MERGES {TABLE}")
    for number in range(BLOCKS):
        opened.insert(block(number))
    yield opened
    opened.close()


class Checks:
    """What is checked, and fails for as long as a part is in `failing`."""

    def __init__(self, store: Embedded, monkeypatch: pytest.MonkeyPatch, before: Callable[[], object] | None = None):
        self.names: list[str] = []
        self.failing: set[str] = set()
        check = store.damage.check

        def checked(name: str) -> None:
            self.names.append(name)
            if before:
                before()
            if name in self.failing:
                raise StoreError("the store cannot do this now", engine_code=210)
            check(name)

        monkeypatch.setattr(store.damage, "check", checked)


def names_of(store: Embedded) -> list[str]:
    rows = store.query(f"SELECT name FROM system.parts WHERE table = '{TABLE}' AND active ORDER BY name").rows
    return [str(name) for (name,) in rows]


def test_a_search_goes_on_behind_a_part_that_cannot_be_checked(
    store: Embedded, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third = names_of(store)
    checks = Checks(store, monkeypatch)
    checks.failing = {first, second}
    store.damage.search_all = True
    for name in (first, second):
        with pytest.raises(StoreError, match=f"part {name} cannot be checked: the store cannot do this now") as error:
            store.check_part()
        assert error.value.engine_code == 210
    store.check_part()
    assert checks.names == [first, second, third]
    assert not store.damage.search_all
    assert store.problems == [f"part {first} and 1 more could not be checked for damage, that is tried again"]

    checks.failing = set()
    store.damage.search_all = True
    store.check_part()
    assert checks.names == [first, second, third] * 2
    assert not store.problems


def test_a_part_that_cannot_be_checked_does_not_keep_others_from_it(
    store: Embedded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part_checks, "_IDLE_SECONDS", 0.0)
    monkeypatch.setattr(part_checks, "BYTES_PER_SECOND", 10**12)
    monkeypatch.setattr(part_checks, "_YOUNG_SECONDS", -60)
    checks = Checks(store, monkeypatch)
    checks.failing = {names_of(store)[0]}
    with pytest.raises(StoreError, match="cannot be checked"):
        store.check_part()
    for _ in range(5):
        store.check_part()
    assert checks.names == names_of(store)
    assert len(store.problems) == 1

    checks.failing = set()
    monkeypatch.setattr(part_checks, "_FAILED_AGAIN_SECONDS", 0.0)
    monkeypatch.setattr(part_checks, "_AGAIN_SECONDS", 0.0)
    for _ in range(BLOCKS):
        store.check_part()
    assert not store.problems


def test_a_search_ends_when_it_is_asked_to(store: Embedded, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        assert go_on.wait(10)

    checks = Checks(store, monkeypatch, wait)
    store.damage.search_all = True
    loop = SupervisedThread("part-checks", "parts cannot be checked")
    loop.start(store.check_part)
    assert begun.wait(10)
    assert not loop.stop(0)
    go_on.set()
    assert loop.join(10)
    assert checks.names == names_of(store)[:1]
    assert store.damage.search_all
