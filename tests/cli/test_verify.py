"""`logriver verify` against real servers: what is held is proven, and each way of not being held is found out."""

import asyncio
import codecs
import gzip
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import google_crc32c
import pytest
import zstandard

from logriver.file_position import FileIdentity, FileRange
from logriver.follow.growing_file import TAIL_BYTES, head_hash
from logriver.record import Batch, Decoded
from logriver.ship.server_sink import ServerSink
from tests.commands import logriver
from tests.conftest import RunningServer
from tests.decode.decoding import decoded

NewServer = Callable[..., RunningServer]
SECONDS = 60
MAX_RECORD_BYTES = 2_000_000

# Each test has lines of its own: a file that begins as another is held back, it may be a copy of that.
JSON = b"".join(
    b'{"message":"number %d \\t \\u00e9 \\\\ \\"x\\"","level":"warning","n":{"x":%d}}\n' % (n, n) for n in range(3000)
)
TEXT = b"".join(b"Nov %02d 10:00:00 web1 app[%d]: hello\tthere %d\n" % (n % 28 + 1, n, n) for n in range(3000))
# Without times, with a tab, a backslash, a carriage return, empty lines, bytes that are no text, and no end.
ODD = b"plain\n\n  indented \\ \t line\r\n\xff\xfe broken\n\nlast without an end"


class Followed:
    """A server that follows all that is in a directory, and says what it holds."""

    def __init__(self, server: RunningServer, directory: Path) -> None:
        self.server = server
        self.directory = directory

    def file(self, name: str, content: bytes) -> Path:
        """A new file, all of which is held and searchable."""
        path = self.directory / name
        if not path.exists():
            path.write_bytes(content)
        self.wait_until_committed(path)
        return path

    def wait_until_committed(self, path: Path, but_for: int = 0) -> None:
        deadline = time.monotonic() + SECONDS
        while self.source(path)["committed_bytes"] != path.stat().st_size - but_for:
            assert time.monotonic() < deadline, self.source(path)
            time.sleep(0.1)

    def source(self, path: Path) -> dict[str, object]:
        """The source of that path."""
        found = self.server.client.get("/api/v1/sources", params={"source": str(path)}).json()["sources"]
        return found[0] if found else {"committed_bytes": None}

    def verify(self, source: object, file: Path, *options: str) -> tuple[int, dict[str, object]]:
        """The exit code and the verdict."""
        done = logriver("verify", str(source), str(file), "-o", "json", *options, LOGRIVER_SERVER=self.server.url)
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Followed]:
    base = tmp_path_factory.mktemp("verify")
    (base / "logs").mkdir()
    # Their last lines have no end and are taken after some seconds, which may pass meanwhile.
    (base / "logs" / f"held-{len(ODD)}.log").write_bytes(ODD)
    (base / "logs" / "pieces.log").write_bytes(b"one\nbegin")
    server = RunningServer(base / "data", "--follow", f"{base / 'logs'}/*.log", "--name", "here")
    yield Followed(server, base / "logs")
    assert server.stop() == 0


def counts(verdict: dict[str, object]) -> dict[str, int]:
    """What there is of each kind, but for none of it."""
    tally = verdict["tally"]
    assert isinstance(tally, dict)
    return {name: count for name, count in tally.items() if count and name != "examples"}


@pytest.mark.parametrize("content", [JSON, TEXT, ODD], ids=["json", "text", "odd"])
def test_a_file_that_is_committed_is_proven(followed: Followed, content: bytes) -> None:
    path = followed.file(f"held-{len(content)}.log", content)
    # The command runs in another time zone than the server did.
    code, verdict = followed.verify(f"@UTC={path}", path)
    assert (code, verdict["proven"], verdict["not_yet_committed_bytes"]) == (0, True, 0)
    assert counts(verdict) == {"stored": sum(line.strip() != b"" for line in content.split(b"\n"))}


def test_a_file_that_is_where_it_was_is_named_once(followed: Followed, monkeypatch: pytest.MonkeyPatch) -> None:
    path = followed.file(f"held-{len(ODD)}.log", ODD)
    monkeypatch.chdir(path.parent)
    for source in (f"@UTC={path}", f"text@UTC={path.name}"):
        done = logriver("verify", source, "-o", "json", LOGRIVER_SERVER=followed.server.url)
        assert (done.returncode, done.stderr) == (0, ""), done.stdout
    done = logriver("verify", f"{path}.none", LOGRIVER_SERVER=followed.server.url)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"'{path}.none' cannot be read" in done.stderr


@pytest.mark.parametrize(
    ("name", "line", "level"),
    [
        ("json", b'{"level":"error","message":"NAME first"}\n', "error"),
        ("text", b"2026-01-02 03:04:05 WARN NAME first\n", "warn"),
    ],
)
def test_the_mark_at_the_beginning_of_a_text_is_none_of_it(
    followed: Followed, name: str, line: bytes, level: str
) -> None:
    words = f"bom{name}"
    file = followed.file(f"mark-{name}.log", codecs.BOM_UTF8 + line.replace(b"NAME", words.encode()) * 2)
    # It waits until what it looks for is stored.
    code, verdict = followed.verify(f"@UTC={file}", file)
    assert (code, verdict["proven"], counts(verdict)) == (0, True, {"stored": 2})
    rows = followed.server.search(q=f"level:{level} {words}")
    assert len(rows) == 2
    assert "\ufeff" not in str(rows)


def test_fields_in_another_order_than_before_are_no_difference(followed: Followed) -> None:
    """What many lines become at once has its fields in the order in which a decoder met them, which is its own."""
    begins = [b'{"message":"ordered %d","b":[%d,1]}\n' % (n, n) for n in range(100)]
    goes_on = [b'{"message":"ordered %d","a":"x, y","b":{"c":1,"d":%d}}\n' % (n, n) for n in range(5000)]
    file = followed.file("ordered.log", b"".join(begins))
    for at in range(0, 5000, 1000):
        with file.open("ab") as end:
            end.writelines(goes_on[at : at + 1000])
        followed.wait_until_committed(file)
    code, verdict = followed.verify(f"@UTC={file}", file)
    assert (code, counts(verdict)) == (0, {"stored": 5100})


def test_it_may_be_compressed_or_have_another_name_by_now(followed: Followed, tmp_path: Path) -> None:
    moved = b"moved\n" + TEXT
    path = followed.file("moved.log", moved)
    compressed, other = tmp_path / "x.log.1.gz", tmp_path / "x.log.2.zst"
    compressed.write_bytes(gzip.compress(moved))
    other.write_bytes(zstandard.compress(moved + b"not held, but in the file\n"))
    assert followed.verify(f"@UTC={path}", compressed)[0] == 0
    code, verdict = followed.verify(f"@UTC={path}", other)
    assert (code, verdict["not_yet_committed_bytes"]) == (0, len(b"not held, but in the file\n"))


def test_a_last_line_that_was_taken_before_it_ended_is_stored_in_pieces(followed: Followed) -> None:
    path = followed.file("pieces.log", b"one\nbegin")
    with path.open("ab") as file:
        file.write(b" and end\nthree\n")
    followed.wait_until_committed(path)
    code, verdict = followed.verify(path, path)
    assert (code, counts(verdict)) == (0, {"stored": 3})
    messages = {row["message"] for row in followed.server.search(q=f'_source:"{path}"')}
    assert messages == {"one", "begin", " and end", "three"}


def test_refused_lines_are_dead_letters_until_they_are_replayed(followed: Followed) -> None:
    path = followed.file("letters.log", b'{"message":"good"}\n' * 5 + b'{"bad\n\xff{\n')
    code, verdict = followed.verify(path, path)
    assert (code, counts(verdict)) == (0, {"stored": 5, "refused": 2})
    dead_letters = followed.server.client.get("/api/v1/dead-letters").json()["dead_letters"]
    (dead_letter,) = [one for one in dead_letters if one["source"] == str(path) and one["raw"] == '{"bad']
    replayed = followed.server.client.post(
        f"/api/v1/dead-letters/{dead_letter['id']}/replay", content=b'{"message":"fixed"}'
    )
    assert replayed.status_code == 200
    code, verdict = followed.verify(path, path)
    assert (code, counts(verdict)) == (1, {"stored": 5, "refused": 1, "refused_gone": 1, "others": 1})


def test_incarnations_of_one_path_are_distinguished(followed: Followed, tmp_path: Path) -> None:
    path = followed.file("lives.log", b"".join(b"equal\nfirst life, line %d\n" % n for n in range(500)))
    first = tmp_path / "copy-of-the-first"
    first.write_bytes(path.read_bytes())
    os.truncate(path, 0)
    path.write_bytes(b"".join(b"equal\nsecond life, line %d\n" % n for n in range(300)))
    followed.wait_until_committed(path)
    for file, lines in ((first, 1000), (path, 600)):
        code, verdict = followed.verify(path, file)
        assert (code, counts(verdict)["stored"]) == (0, lines), verdict


def test_a_file_with_other_content_is_of_no_incarnation(followed: Followed, tmp_path: Path) -> None:
    held = b"changed\n" + TEXT
    path, other = followed.file("changed.log", held), tmp_path / "changed"
    cases = {
        "not there": "nothing is committed of that source",
        "otherwise": "begins otherwise",
        "late": "of none that begins so",
    }
    contents = {"otherwise": b"x" + held, "late": held[:-2] + b"x\n", "not there": held}
    for case, message in cases.items():
        other.write_bytes(contents[case])
        source = "/not/there.log" if case == "not there" else str(path)
        done = logriver("verify", source, str(other), LOGRIVER_SERVER=followed.server.url)
        assert done.returncode == 1
        assert message in done.stderr


def test_wrong_use_exits_with_2(followed: Followed, tmp_path: Path) -> None:
    url = followed.server.url
    path = followed.file("used.log", b"a line\n")
    assert logriver("verify", str(path), str(tmp_path / "none"), LOGRIVER_SERVER=url).returncode == 2
    assert logriver("verify", str(path), str(path), LOGRIVER_SERVER="http://127.0.0.1:1").returncode == 2


def test_what_an_agent_left_out_doubled_or_changed_is_found_out(followed: Followed, tmp_path: Path) -> None:
    """An agent that says that it has sent all of a file, and has not."""
    path = tmp_path / "lied.log"
    path.write_bytes(TEXT)
    rows = decoded("text", TEXT, now_ns=time.time_ns()).rows.splitlines(keepends=True)
    lie = [*rows[:10], *rows[11:], rows[20], rows[30].replace(b"hello", b"HELLO")]
    lie.remove(rows[30])
    asyncio.run(send(followed.server, str(path), TEXT, lie))
    code, verdict = followed.verify(f"text@UTC={path}", path, "--follower", "liar")
    assert (code, verdict["proven"], verdict["missing"]) == (1, False, 1)
    assert counts(verdict) == {"stored": 2998, "missing": 1, "doubled": 1, "different": 1}
    examples = verdict["tally"]["examples"]  # type: ignore[index]
    assert [example.split(": ")[1] for example in examples] == ["missing", "doubled", "different"]
    # Its times have no zone: in another one the lines are others.
    assert counts(followed.verify(f"text@+05:00={path}", path)[1])["different"] > 2000


async def send(server: RunningServer, path: str, content: bytes, rows: list[bytes]) -> None:
    """All of a file as one range, with these rows."""
    identity = FileIdentity("liar", 1, 2, 1024, head_hash(content[:1024]))
    covers = FileRange(identity, path, 0, len(content), google_crc32c.value(content), content[-TAIL_BYTES:])
    sink = ServerSink(server.url)
    await sink.put(Batch(Decoded(b"".join(rows), len(rows)), path, range=covers))
    await sink.close()


def test_records_of_several_lines_are_read_as_the_follower_reads_them(new_server: NewServer, tmp_path: Path) -> None:
    path, config = tmp_path / "java.log", tmp_path / "logriver.toml"
    path.write_bytes(
        b"".join(b"2024-01-01T00:00:00Z ERROR no %d\n\tat a.B.c(D.java:%d)\n\tat e\n" % (n, n) for n in range(900))
    )
    config.write_text(f'[[sources]]\npath = "{path}"\nmultiline = "indent"\nlabels = {{env = "test"}}\n')
    followed = Followed(new_server("--config", str(config)), tmp_path)
    followed.wait_until_committed(path)
    # To name the format or the zone takes nothing away from the settings.
    for source in (path, f"text={path}", f"@UTC={path}"):
        code, verdict = followed.verify(source, path, "--config", str(config))
        assert code == 0
        assert counts(verdict) == {"stored": 900}
    # Without the follower's settings the lines are others.
    assert followed.verify(path, path)[0] == 1


def test_what_retention_removed_is_no_loss(new_server: NewServer, tmp_path: Path) -> None:
    path = tmp_path / "old.log"
    brief = {"LOGRIVER_PARTITION_BYTES": "1", "LOGRIVER_RETENTION": "1s", "STREAM_MAX_WAIT_TIME_IN_SECONDS": "0.05"}
    followed = Followed(new_server("--follow", str(path), **brief), tmp_path)
    deadline, number = time.monotonic() + SECONDS, 0
    while not followed.server.status()["removed_by_retention"]:
        assert time.monotonic() < deadline
        with path.open("a") as file:
            file.write(f"line {number}\n")
        number += 1
        time.sleep(0.2)
    followed.wait_until_committed(path)
    # The newest partition is never removed: once it is the only one, nothing is.
    searchable: dict[str, int] = {}
    while searchable.get("records") != 1:
        assert time.monotonic() < deadline, searchable
        time.sleep(0.5)
        searchable = followed.server.client.get("/api/v1/sources", params={"source": str(path)}).json()["searchable"]
    removed = number - 1
    code, verdict = followed.verify(path, path)
    assert (code, verdict["missing"], verdict["removed"], verdict["proven"]) == (0, 0, removed, True)
    assert path.read_bytes()[searchable["oldest_offset"] :].startswith(b"line %d\n" % removed)


@pytest.mark.soak
def test_a_million_lines_within_a_minute(followed: Followed) -> None:
    path = followed.directory / "million.log"
    with path.open("wb") as file:
        subprocess.run(["seq", "-f", '{"message":"line %010.0f of a million"}', "1000000"], stdout=file, check=True)
    followed.wait_until_committed(path)
    started = time.monotonic()
    code, verdict = followed.verify(path, path)
    assert (code, counts(verdict)) == (0, {"stored": 1_000_000})
    assert time.monotonic() - started < 60
