"""Thousands of followed files: open files, memory and the time that looking at them takes stay within bounds."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil
import pytest

from logriver.follow.fingerprints import Fingerprints
from tests.conftest import RunningServer

FILES = 5_000
LINES = 5


def made(root: Path, count: int) -> Iterable[Path]:
    for number in range(count):
        path = root / f"service{number % 50}" / f"app{number}.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"2026-01-02 03:04:05 INFO file {number} line {line}\n" for line in range(LINES)))
        yield path


def stored(server: RunningServer, at_least: int, seconds: float) -> int:
    """Records of the files that are stored, once they are so many; the internal log's are not counted."""
    deadline = time.monotonic() + seconds
    while True:
        answer = server.client.get("/api/v1/stats", params={"q": '"INFO file" OR appended | stats count() as n'})
        count = int(answer.json()["rows"][0][0])
        if count >= at_least or time.monotonic() > deadline:
            return count
        time.sleep(1)


@pytest.mark.soak
def test_five_thousand_files(new_server: Callable[..., RunningServer], tmp_path: Path) -> None:
    paths = list(made(tmp_path / "logs", FILES))
    empty = new_server(data=tmp_path / "empty")
    alone_bytes = psutil.Process(empty.process.pid).memory_full_info().uss
    empty.kill()

    server = new_server("--follow", str(tmp_path / "logs" / "**"))
    process = psutil.Process(server.process.pid)
    assert stored(server, FILES * LINES, 300) == FILES * LINES
    assert process.num_fds() < 800
    assert process.memory_full_info().uss - alone_bytes < 250_000_000

    for path in paths[:: FILES // 100]:
        with path.open("a") as file:
            file.write("2026-01-02 03:04:05 INFO appended\n")
    assert stored(server, FILES * LINES + 100, 60) == FILES * LINES + 100
    before = process.cpu_times()
    time.sleep(10)
    after = process.cpu_times()
    assert (after.user + after.system - before.user - before.system) / 10 < 0.5


def test_heads_are_alike_as_far_as_the_shorter_goes() -> None:
    heads = Fingerprints()
    texts = [b"", b"a", b"ab", b"abc", b"abd", b"ab\xff", b"b", b"abc"]
    for number, text in enumerate(texts):
        heads.add(str(number), text)
    for removed in ("3", "5"):
        heads.remove(removed, texts[int(removed)])
    left = [(str(number), text) for number, text in enumerate(texts) if str(number) not in ("3", "5")]
    for asked in (b"", b"a", b"ab", b"abc", b"abcd", b"ab\xff", b"\xff", b"b"):
        expected = [key for key, text in left if text.startswith(asked) or asked.startswith(text)]
        assert sorted(heads.alike(asked)) == expected
