"""What access control is made of: the kept token, sessions, and what the settings may say."""

from pathlib import Path

import pytest

from logriver.auth.request_origin import checked_origins
from logriver.auth.sessions import Sessions
from logriver.auth.token import kept_token
from logriver.errors import SettingsError
from logriver.ingest.listen import listeners
from logriver.settings import load


def test_a_token_that_others_can_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "TOKEN").write_text("secret\n")
    (tmp_path / "TOKEN").chmod(0o640)

    with pytest.raises(SettingsError, match="can be read by others"):
        kept_token(tmp_path / "TOKEN")
    (tmp_path / "TOKEN").chmod(0o600)
    assert kept_token(tmp_path / "TOKEN") == ("secret", False)
    (tmp_path / "TOKEN").write_text("\n")
    with pytest.raises(SettingsError, match="no token"):
        kept_token(tmp_path / "TOKEN")


@pytest.mark.parametrize("origin", ["*", "null", "https://a.example/path", "a.example", "ftp://a.example", ""])
def test_what_is_no_origin_is_refused(origin: str) -> None:
    with pytest.raises(SettingsError, match="not an origin"):
        checked_origins([origin])


@pytest.mark.parametrize("address", ["nowhere:1", "127.0.0.1", "127.0.0.1:65536", "127.0.0.1:-1", "", "::1"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(SettingsError, match="not an address and a port"):
        listeners([address])


def test_an_address_that_is_taken_is_named() -> None:
    (taken,) = listeners(["127.0.0.1:0"])
    taken.listen()
    address = f"127.0.0.1:{taken.getsockname()[1]}"
    with taken, pytest.raises(OSError, match=f"^{address} cannot be listened on: address already in use$"):
        listeners(["127.0.0.1:0", address])


def test_one_address_may_stand_for_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGRIVER_LISTEN", "[::1]:3000")
    assert load().listen == ["[::1]:3000"]
    monkeypatch.setenv("LOGRIVER_LISTEN", '["127.0.0.1:1", "127.0.0.1:2"]')
    assert load().listen == ["127.0.0.1:1", "127.0.0.1:2"]


def test_a_session_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    sessions = Sessions(b"key")
    value = sessions.start()
    ends = int(value.partition(".")[0])

    assert sessions.valid(value)
    assert not Sessions(b"another key").valid(value)
    assert not sessions.valid(value.replace(str(ends), str(ends + 1)))
    monkeypatch.setattr("logriver.clock.now_ns", lambda: ends * 1_000_000_000)
    assert not sessions.valid(value)
