"""The tables of `[[sources]]`: labels, which files are meant, and all of it in a real server."""

import gzip
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from logriver.decode.labels import Labels
from logriver.decode.row_builder import encode, row
from logriver.errors import SettingsError
from logriver.follow.paths import path_patterns
from logriver.record import Decoded
from logriver.settings import FollowSettings, SourceTable, load
from tests.conftest import RunningServer
from tests.follow.test_follow import Ledger, append, following, until


def labelled(labels: dict[str, object], *rows: str) -> list[list[str]]:
    decoded = Decoded(encode(list(rows)), len(rows))
    Labels(labels).add(decoded)
    return [line.split("\t") for line in decoded.rows.decode().splitlines()]


def test_labels_are_added_where_the_record_has_none() -> None:
    rows = labelled(
        {"env": "prod", "service": "shop", "host.name": "h\t1", "team": 'a"b\\'},
        row(1, "info", "x\ty\n"),
        row(2, "", "z", service="own", host="own", attributes='{"env":"test","n":1}'),
        row(3, "", '"env"', attributes='{"n":{"env":1},"team":null}'),
    )
    assert [(row[3], row[4]) for row in rows] == [("shop", "h\\t1"), ("own", "own"), ("shop", "h\\t1")]
    found = [json.loads(row[7].replace("\\\\", "\\")) for row in rows]
    team = 'a"b\\'
    assert found == [
        {"env": "prod", "team": team},
        {"team": team, "env": "test", "n": 1},
        {"env": "prod", "n": {"env": 1}, "team": None},
    ]
    assert [(row[0], row[2]) for row in rows] == [("1", "x\\ty\\n"), ("2", "z"), ("3", '"env"')]


@pytest.mark.parametrize("name", ["timestamp", "message", "msg", "trace_id", "level"])
def test_what_each_record_has_itself_is_no_label(name: str) -> None:
    with pytest.raises(SettingsError, match=f"'{name}' cannot be a label"):
        Labels({name: "x"})


FILES = ("app.log", "app.debug.log", "db/db.log", "db/old/db.log", "web/access.txt")


@pytest.mark.parametrize(
    ("path", "include", "exclude", "expected"),
    [
        ("**", [], [], FILES),
        ("**", ["*.log"], ["*.debug.log"], ("app.log", "db/db.log", "db/old/db.log")),
        ("**", [], ["{root}/db/**"], ("app.debug.log", "app.log", "web/access.txt")),
        ("**", ["{root}/*/*.log", "access.*"], [], ("db/db.log", "web/access.txt")),
        ("", [], ["app.[a-c]*"], ("app.debug.log", "app.log")),
        ("", [], ["app.[a-d]*.log"], ("app.log",)),
        ("app.log", [], ["*"], ()),
    ],
)
def test_include_and_exclude(
    tmp_path: Path, path: str, include: list[str], exclude: list[str], expected: tuple[str, ...]
) -> None:
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x\n")
    table = SourceTable(
        path=str(tmp_path / path),
        include=[pattern.format(root=tmp_path) for pattern in include],
        exclude=[pattern.format(root=tmp_path) for pattern in exclude],
    )
    (source,) = path_patterns(FollowSettings(sources=[table]))
    found = {str(file.path.relative_to(tmp_path)) for file in source.files()}
    assert found == set(expected)
    assert {name for name in FILES if source.means(tmp_path / name)} == found


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('[[sources]]\npath = "x"\nlables = {}\n', "'sources.0.lables', did you mean 'labels'"),
        ('[[sources]]\nformat = "json"\n', "'sources.0.path': field required"),
        ('[[source]]\npath = "x"\n', "'source', did you mean 'sources'"),
        ('[[sources]]\npath = "x"\nmultiline = "lines"\n', "'sources.0.multiline': input should be '' or 'indent'"),
        ("[formats]\nshop = 1\n", "'formats.shop': input should be a valid string"),
    ],
)
def test_a_table_that_cannot_be(tmp_path: Path, text: str, reason: str) -> None:
    config = tmp_path / "logriver.toml"
    config.write_text(text)
    with pytest.raises(SettingsError, match=reason):
        load(config=config)


@pytest.mark.anyio
async def test_the_rest_of_a_renamed_file_is_read_as_its_source_says(tmp_path: Path) -> None:
    path, sink = tmp_path / "app.log", Ledger()
    append(path, b"one\n")
    table = SourceTable(path=str(path), format="text", labels={"env": "prod"})
    async with following(sink, table):
        await until(lambda: sink.messages() == ["one"])
    append(path, b'{"message":"as text"}\n')
    path.rename(tmp_path / "app.log.1")
    append(path, b"two\n")
    async with following(sink, table):
        await until(lambda: len(sink.messages()) == 3)
    assert set(sink.messages()) == {"one", "two", '{"message":"as text"}'}
    assert {row[7] for row in sink.rows()} == {'{"env":"prod"}'}


@pytest.mark.anyio
@pytest.mark.parametrize("wanted", ["", "*.log", "**/*.log"])
async def test_what_was_compressed_unseen_is_read_once_for_directories_and_globs(tmp_path: Path, wanted: str) -> None:
    path, sink = tmp_path / "app.log", Ledger()
    append(path, b"one\n")
    for _ in range(2):
        async with following(sink, tmp_path / wanted):
            await until(lambda: len(sink.messages()) == 1)
    (tmp_path / "app.log.1.gz").write_bytes(gzip.compress(path.read_bytes() + b"only in the archive\n"))
    path.unlink()
    append(path, b"new\n")
    for _ in range(2):
        async with following(sink, tmp_path / wanted):
            await until(lambda: len(sink.messages()) == 3)
    assert sorted(sink.messages()) == ["new", "one", "only in the archive"]


SHOP = r"^(?P<timestamp>\S+ \S+) (?P<level>\w+) \[(?P<service>[^\]]+)\] (?P<message>.*)$"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    root = tmp_path / "logs"
    pod = root / "pods" / "prod_pay-7d9f_11-22" / "pay"
    for directory in (pod, root / "containers"):
        directory.mkdir(parents=True)
    (root / "shop.log").write_text("2026-02-03 04:05:06 WARN [shop] low stock\nunknown line\n")
    (root / "shop.debug.log").write_text("2026-02-03 04:05:06 WARN [shop] left out\n")
    (pod / "0.log").write_text("2026-02-03T04:05:06Z stderr P in two \n2026-02-03T04:05:06Z stderr F parts\n")
    (root / "containers" / "pay.log").symlink_to(pod / "0.log")
    (root / "docker.log").write_text(
        json.dumps(
            {"log": '{"level":"error","msg":"from docker","n":7}\n', "stream": "stdout", "time": "2026-02-03T04:05:06Z"}
        )
        + "\n"
    )
    return root


def test_a_server_reads_each_source_as_its_table_says(
    new_server: Callable[..., RunningServer], files: Path, tmp_path: Path
) -> None:
    config = tmp_path / "logriver.toml"
    config.write_text(
        f"""
follow = ["{files}/containers/*.log"]
[formats]
shop = '{SHOP}'
[[sources]]
path = "{files}/*.log"
include = ["shop*"]
exclude = ["*.debug.log"]
format = "shop"
zone = "UTC"
labels = {{ env = "prod", service = "unknown" }}
[[sources]]
path = "{files}/docker.log"
labels = {{ env = "prod" }}
"""
    )
    server = new_server("--config", str(config))
    rows: dict[object, dict[str, object]] = {}
    deadline = time.monotonic() + 60
    while len(rows) < 4 and time.monotonic() < deadline:
        rows = {row["message"]: row for row in server.search(limit=100)}
        rows = {message: row for message, row in rows.items() if str(row["_source"]).startswith(str(files))}
    shop, unknown, docker, cri = (rows[text] for text in ("low stock", "unknown line", "from docker", "in two parts"))
    assert (shop["service"], shop["level"], shop["env"]) == ("shop", "warn", "prod")
    assert shop["timestamp"] == "2026-02-03T04:05:06Z"
    assert (unknown["service"], unknown["env"]) == ("unknown", "prod")
    assert (docker["level"], docker["n"], docker["stream"], docker["env"]) == ("error", 7, "stdout", "prod")
    assert (cri["namespace"], cri["pod"], cri["container"], cri["stream"]) == ("prod", "pay-7d9f", "pay", "stderr")
    assert cri["_source"] == str(files / "containers" / "pay.log")
    assert "logriver_followed_unmatched_lines_total 1.0" in server.client.get("/metrics").text
