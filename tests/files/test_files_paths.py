"""The allowed roots: what may be opened, and what each refusal is."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from logriver.errors import BadRequest, Forbidden, LogriverError, NotFound
from logriver.files import listing
from logriver.files.roots import Roots


@pytest.fixture
def roots(tmp_path: Path) -> Roots:
    """Two roots, `a` before `b`, and `secret` outside."""
    for name in ("a", "b", "outside"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "same.log").write_text(name)
    (tmp_path / "a" / "deep" / "er").mkdir(parents=True)
    (tmp_path / "a" / "deep" / "er" / "x.log").write_text("x")
    (tmp_path / "b" / "only.log").write_text("only")
    (tmp_path / "outside" / "secret").write_text("secret")
    (tmp_path / "a" / "out.log").symlink_to(tmp_path / "outside" / "secret")
    (tmp_path / "a" / "outdir").symlink_to(tmp_path / "outside")
    (tmp_path / "a" / "in.log").symlink_to("deep/er/x.log")
    (tmp_path / "a" / "to_b.log").symlink_to(tmp_path / "b" / "only.log")
    (tmp_path / "a" / "dangling").symlink_to("nothing")
    (tmp_path / "a" / "loop").symlink_to("loop")
    return Roots([str(tmp_path / "a"), str(tmp_path / "b")])


def content(roots: Roots, name: str) -> str:
    descriptor, _ = roots.open(name)
    with os.fdopen(descriptor) as file:
        return file.read()


def test_a_name_is_looked_for_in_each_root(roots: Roots, tmp_path: Path) -> None:
    assert content(roots, "same.log") == "a"
    assert content(roots, "only.log") == "only"
    assert content(roots, "./deep/../deep/er/x.log") == "x"
    assert content(roots, str(tmp_path / "b" / "same.log")) == "b"


def test_links_inside_are_followed(roots: Roots) -> None:
    assert content(roots, "in.log") == "x"
    assert content(roots, "to_b.log") == "only"


OUTSIDE = ["../outside/secret", "out.log", "outdir/secret", "outdir", "/etc/passwd", "/", "..", "../missing", "../a2/x"]


@pytest.mark.parametrize("name", [*OUTSIDE, "deep/../../outside/secret", "a/../../../../../../etc/passwd"])
def test_nothing_outside_is_opened_or_told(roots: Roots, name: str) -> None:
    with pytest.raises(Forbidden):
        roots.open(name)


def test_a_root_that_begins_like_another_is_another(tmp_path: Path) -> None:
    for name in ("log", "logs"):
        (tmp_path / name).mkdir()
    (tmp_path / "logs" / "x").write_text("x")
    with pytest.raises(Forbidden):
        Roots([str(tmp_path / "log")]).open(str(tmp_path / "logs" / "x"))


@pytest.mark.parametrize("name", ["missing", "deep/missing", "same.log/x", "dangling", "loop", "a" * 300, "a/" * 3_000])
def test_what_is_not_there(roots: Roots, name: str) -> None:
    with pytest.raises((NotFound, BadRequest)) as refused:
        roots.open(name)
    assert refused.type is NotFound or name == "loop"


@pytest.mark.parametrize("name", ["", "a\0b", "\ud800", ".", "deep", "deep/"])
def test_what_cannot_be_read_as_a_file(roots: Roots, name: str) -> None:
    with pytest.raises(BadRequest):
        roots.open(name)


def test_only_regular_files(roots: Roots, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a" / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "a" / "socket"))
        for name in ("fifo", "socket"):
            with pytest.raises(BadRequest, match="no regular file"):
                roots.open(name)
    with pytest.raises(BadRequest, match="no regular file"):
        Roots(["/dev"]).open("null")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_the_process_may_not_read(roots: Roots, tmp_path: Path) -> None:
    (tmp_path / "a" / "same.log").chmod(0)
    with pytest.raises(Forbidden, match="permission denied"):
        roots.open("same.log")


def test_a_directory_that_becomes_a_link_out_is_noticed(roots: Roots, tmp_path: Path) -> None:
    """Somebody swaps a directory for a link while names are looked at and opened."""
    (tmp_path / "a" / "deep" / "secret").write_text("allowed")
    seen: dict[str, int] = {}
    with swapping(tmp_path / "a" / "deep", tmp_path / "outside"):
        deadline = time.monotonic() + 30
        while sum(seen.values()) < 3_000 or ("allowed" not in seen and time.monotonic() < deadline):
            try:
                result = content(roots, "deep/secret")
            except LogriverError as error:
                result = error.code
            seen[result] = seen.get(result, 0) + 1

    assert seen["allowed"] > 0
    assert set(seen) <= {"allowed", "forbidden", "not_found", "bad_request"}


@contextmanager
def swapping(directory: Path, target: Path) -> Iterator[None]:
    """Inside of the block `directory` is by turns itself and a link to `target`."""
    away, stop = directory.with_name("away"), threading.Event()

    def swap() -> None:
        while not stop.is_set():
            directory.rename(away)
            directory.symlink_to(target)
            directory.unlink()
            away.rename(directory)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_a_listing(roots: Roots, tmp_path: Path) -> None:
    os.utime(tmp_path / "a" / "same.log", ns=(0, 1_700_000_000_123_000_000))
    found = {entry.name: entry for entry in listing.entries_of(roots, str(tmp_path / "a")).entries}

    assert list(found) == sorted(found)
    assert {name: entry.type for name, entry in found.items()} == {
        "same.log": "file",
        "deep": "directory",
        "in.log": "file",
        "to_b.log": "file",
        "out.log": "link",
        "outdir": "link",
        "dangling": "link",
        "loop": "link",
    }
    assert (found["same.log"].size, found["same.log"].modified) == (1, "2023-11-14T22:13:20.123Z")
    assert found["to_b.log"].size == len("only")
    assert found["to_b.log"].path == str(tmp_path / "b" / "only.log")
    # Nothing is told about what is outside, not even how long it is.
    assert found["out.log"].path == str(tmp_path / "a" / "out.log")
    assert found["out.log"].size == len(str(tmp_path / "outside" / "secret"))


def test_an_empty_name_lists_what_relative_names_can_begin_with(roots: Roots, tmp_path: Path) -> None:
    found = {entry.name: entry.path for entry in listing.entries_of(roots, "").entries}
    assert found["only.log"] == str(tmp_path / "b" / "only.log")
    assert found["same.log"] == str(tmp_path / "a" / "same.log")


def test_a_listing_of_a_file_is_that_file(roots: Roots) -> None:
    (entry,) = listing.entries_of(roots, "deep/er/x.log").entries
    assert (entry.name, entry.type, entry.size) == ("x.log", "file", 1)


@pytest.mark.parametrize(("name", "refusal"), [("missing", NotFound), ("outdir", Forbidden), ("..", Forbidden)])
def test_a_listing_that_is_refused(roots: Roots, name: str, refusal: type[LogriverError]) -> None:
    with pytest.raises(refusal):
        listing.entries_of(roots, name)


def test_a_listing_is_bounded(roots: Roots, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "MAX_ENTRIES", 3)
    given = listing.entries_of(roots, str(tmp_path / "a"))
    assert (len(given.entries), given.truncated) == (3, True)
    assert not listing.entries_of(roots, "deep").truncated


def test_a_name_that_is_not_utf8_is_shown(roots: Roots, tmp_path: Path) -> None:
    Path(os.fsdecode(bytes(tmp_path / "a" / "deep" / "er") + b"/\xff.log")).write_text("x")
    names = [entry.name for entry in listing.entries_of(roots, "deep/er").entries]
    assert names == [r"\xff.log", "x.log"]
