"""Sessions of the engine are lent to any thread, and few stay open."""

import gc
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from chdb.session import Session

from logriver.errors import StoreError
from logriver.store.sessions import Sessions


@pytest.fixture
def sessions(tmp_path: Path) -> Iterator[Sessions]:
    made = Sessions(str(tmp_path / "store"))
    yield made
    made.close()


def open_now() -> int:
    gc.collect()
    return sum(isinstance(found, Session) and found._conn is not None for found in gc.get_objects())


def test_threads_that_come_and_go_share_one_session(sessions: Sessions) -> None:
    lent: list[Session] = []

    def ask() -> None:
        with sessions.lend() as session:
            session.query("SELECT 1")
            lent.append(session)

    for _ in range(50):
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
    assert len(set(map(id, lent))) == 1


def test_a_burst_has_sessions_of_its_own_and_leaves_few(sessions: Sessions) -> None:
    everybody = threading.Barrier(40)
    lent: set[int] = set()

    def ask() -> None:
        with sessions.lend() as session:
            lent.add(id(session))
            everybody.wait()

    threads = [threading.Thread(target=ask) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(lent) == 40
    assert open_now() <= 17


def test_a_session_in_which_something_failed_is_not_lent_again(sessions: Sessions) -> None:
    with pytest.raises(RuntimeError, match="throwIf"), sessions.lend() as failed:
        failed.query("SELECT throwIf(number = 500000) FROM numbers(1000000)", "TabSeparated")
    with sessions.lend() as session:
        assert session is not failed
        assert session.query("SELECT 1", "TabSeparated").bytes() == b"1\n"
        answer = session.query("SELECT value FROM system.settings WHERE name LIKE 'enable_extended_results%'", "TSV")
        assert answer.bytes() == b"1\n"


def test_a_closed_store_lends_nothing_and_leaves_nothing_open(sessions: Sessions) -> None:
    with sessions.lend():
        pass
    before = open_now()
    sessions.close()
    assert open_now() == before - 2
    with pytest.raises(StoreError, match="closed"), sessions.lend():
        pass
