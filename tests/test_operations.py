"""docs/how-to/operations.md and deploy/: every path, setting, metric, call, command and message that they name is real.

What can be done on any machine is done as it is written there: downgrading, backing up and restoring, the health check.
"""

import fnmatch
import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client.metrics_core import Metric

from logriver.metrics import REGISTRY
from logriver.settings import ENV_PREFIX, Settings, load
from tests.conftest import RunningServer

ROOT = Path(__file__).parent.parent
DOCUMENT = (ROOT / "docs" / "how-to" / "operations.md").read_text()
UNIT = (ROOT / "deploy" / "logriver.service").read_text()
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
COMPOSE = (ROOT / "deploy" / "compose.yaml").read_text()
SOURCE = "\n".join(path.read_text() for path in (ROOT / "src" / "logriver").rglob("*.py"))

VARIABLE = re.compile(rf"\b{ENV_PREFIX}[A-Z_]*[A-Z]\b")
ENVIRONMENT_ONLY = {"LOGRIVER_SERVER"}
COMMAND = re.compile(r"logriver ([a-z][a-z-]+)((?: +--?[a-z-]+(?: +[^-`\s][^`\s]*)?)*)")
WRITTEN_ELSEWHERE = re.compile(r"/dev/|/proc/|/sys/")
# Beside the server, not above it: what is stopped is the server itself.
TRACER = ["strace", "-D", "-f", "--seccomp-bpf", "-qq", "--signal=none", "-e", "trace=%file", "-s", "4096", "-o"]
OPENED = re.compile(
    r'(?:openat|open|creat)\((?:AT_FDCWD, )?"([^"]+)", (?:[^,)]*O_(?:WRONLY|RDWR|CREAT)[^)]*|0\d+)\) = \d'
)
MADE = re.compile(r'(?:mkdir|mkdirat|rename|renameat2?|link|symlink)\(.*?"([^"]+)"(?:, .*?"([^"]+)")?.*\) = 0')


def section(title: str) -> str:
    """The text below a heading."""
    return DOCUMENT.split(f"\n## {title}\n")[1].split("\n## ")[0]


def first_cells(title: str) -> list[str]:
    """The backticked words in the first cells of a section's table."""
    cells = re.findall(r"^\| (.*?) \|", section(title), re.MULTILINE)
    return [word for cell in cells for word in re.findall(r"`([^`]+)`", cell)]


def shell_lines() -> list[str]:
    return "\n".join(re.findall(r"```sh\n(.*?)```", DOCUMENT, re.DOTALL)).splitlines()


def shown_name(family: Metric) -> str:
    return f"{family.name}_total" if family.type == "counter" else family.name


def environment_example() -> dict[str, str]:
    lines = [line for line in section("Start at boot").splitlines() if line.startswith(ENV_PREFIX)]
    return dict(line.split("=", 1) for line in lines)


def test_every_variable_is_a_setting() -> None:
    texts = (DOCUMENT, UNIT, DOCKERFILE, COMPOSE)
    named = {variable for text in texts for variable in VARIABLE.findall(text)}
    known = {f"{ENV_PREFIX}{name}".upper() for name in Settings.model_fields}
    assert {"LOGRIVER_TOKEN", "LOGRIVER_DATA", "LOGRIVER_MAX_DISK"} <= named
    assert named - known - ENVIRONMENT_ONLY == set()


def test_the_example_of_an_environment_file_can_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment_example().items():
        monkeypatch.setenv(name, value)
    settings = load()
    assert settings.follow == ["/var/log/syslog", "json=/var/log/app/*.log"]
    assert settings.listen == ["127.0.0.1:3000"]
    assert settings.retention == "30d"


def test_every_limit_is_explained_and_every_explained_limit_is_a_setting() -> None:
    explained = set(first_cells("What each limit does"))
    limits = {name for name in Settings.model_fields if name.startswith("max_") or name.endswith("_timeout")}
    assert len(limits) >= 9
    assert (limits | {"retention"}) - explained == set()
    messages = {word for word in explained if " " in word}
    assert explained - messages - set(Settings.model_fields) == set()


def test_every_message_that_is_explained_is_logged() -> None:
    messages = [word for word in first_cells("What each limit does") if " " in word]
    assert len(messages) >= 5
    assert [message for message in messages if message not in SOURCE] == []


def test_every_metric_is_explained_and_exists() -> None:
    real = {shown_name(family) for family in REGISTRY.collect()}
    assert set(first_cells("Metrics")) == real
    assert set(re.findall(r"\blogriver_[a-z_]+", DOCUMENT)) == real


def test_the_reasons_of_turning_away_are_counted_like_that() -> None:
    named = set(re.findall(r'reason="(\w+)"', section("What each limit does")))
    assert named == set(re.findall(r'turned_away\.labels\(reason="(\w+)"\)', SOURCE))


def test_every_call_is_in_the_api(server: RunningServer) -> None:
    paths = set(server.client.get("/openapi.json").json()["paths"])
    named = set(re.findall(r"`(?:GET |POST )?(/[a-z0-9/_{}-]+)`", DOCUMENT))
    calls = {path for path in named if path.startswith(("/api/", "/health", "/ready", "/metrics"))}
    assert len(calls) >= 5
    assert calls - paths == set()


def commands() -> dict[str, set[str]]:
    """Every command of document and unit, with the flags that it is shown with."""
    found: dict[str, set[str]] = {}
    for match in COMMAND.finditer(DOCUMENT + UNIT):
        found.setdefault(match[1], set()).update(re.findall(r"--[a-z-]+", match[2]))
    return found


@pytest.mark.parametrize("command", sorted(commands()))
def test_every_command_exists_with_its_flags(command: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "logriver", command, "--help"],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | {"COLUMNS": "200", "NO_COLOR": "1"},
    )
    assert ran.returncode == 0, ran.stderr
    assert [flag for flag in commands()[command] if not re.search(rf"{flag}\b", ran.stdout)] == []


def test_every_file_of_the_repository_that_is_named_is_there() -> None:
    named = re.findall(r"\b(?:deploy|docs|bench)/[\w.-]*\w", f"{DOCUMENT}\n{UNIT}\n{DOCKERFILE}\n{COMPOSE}")
    copied = " ".join(re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE)).split()
    assert {"deploy/logriver.service", "deploy/Dockerfile"} <= set(named)
    assert {"src", "requirements.lock"} <= set(copied)
    assert [name for name in {*named, *copied} if not (ROOT / name).exists()] == []


def test_a_server_writes_only_what_the_document_says(tmp_path: Path, new_server: Callable[..., RunningServer]) -> None:
    """Every file it opens for writing, makes or renames, as the system calls say, is in the table of paths."""
    (tmp_path / "temporary").mkdir()
    (tmp_path / "app.log").write_text("a line\n")
    running = new_server("--follow", str(tmp_path / "app.log"), TMPDIR=str(tmp_path / "temporary"))
    running.stop()
    running.data.rename(tmp_path / "before")
    trace = tmp_path / "trace"
    running.wrapper = [*TRACER, str(trace)]
    running.start()
    assert running.client.post("/api/v1/logs?wait=searchable", content=b'{"message":"m"}').status_code == 200
    there = {path.name for path in running.data.iterdir()}
    running.stop()

    listed = [name.rstrip("/") for name in first_cells("Every path it writes")]
    inside = [name for name in listed if re.fullmatch(r"[\w.*-]+", name)]
    inside += re.findall(r"`(state\.db-\w+)`", section("Every path it writes"))
    written = {path for line in trace.read_text().splitlines() for path in written_paths(line)}
    names = {Path(path).relative_to(running.data).parts[0] for path in written if below(path, running.data)}
    assert {"log", "store", "state.db", "engine.xml"} <= names
    assert [name for name in names if not any(fnmatch.fnmatch(name, pattern) for pattern in inside)] == []
    outside = {path for path in written if path.startswith("/") and path != str(running.data)}
    temporary = re.compile(r"/(?:.*/)?clickhouse-embedded-[^/]*(?:/.*)?")
    assert [
        path
        for path in outside
        if not below(path, running.data) and not WRITTEN_ELSEWHERE.match(path) and not temporary.fullmatch(path)
    ] == []
    assert {"FORMAT", "NODE", "LOCK", "TOKEN", "engine.xml", "log", "state.db", "store"} <= there & {*inside}


def written_paths(line: str) -> list[str]:
    """The paths that a line of the trace opens for writing, makes or renames; of a cut-off open none."""
    found = OPENED.search(line) or MADE.search(line)
    return [path for path in found.groups() if path] if found else []


def below(path: str, directory: Path) -> bool:
    return path.startswith(f"{directory}/") and Path(path) != directory


def test_a_downgrade_is_refused_in_these_words(tmp_path: Path, new_server: Callable[..., RunningServer]) -> None:
    running = new_server()
    running.stop()
    (running.data / "FORMAT").write_text("3\n")
    before = content(running.data)
    command = [sys.executable, "-m", "logriver", "serve", "--data", str(running.data), "--listen", "127.0.0.1:0"]
    refused = subprocess.run(
        [*command, "--log-file", str(tmp_path / "own")], capture_output=True, text=True, check=False
    )
    shown = section("Upgrade").split("```text\n")[1].split("```")[0]
    assert refused.returncode == 1
    assert refused.stderr.replace("\n", " ").split() == shown.replace("/var/lib/logriver", str(running.data)).split()
    assert content(running.data) == before


def content(directory: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_a_backup_is_restored_and_goes_on(tmp_path: Path, new_server: Callable[..., RunningServer]) -> None:
    followed = tmp_path / "app.log"
    followed.write_text("line one\n")
    running = new_server("--follow", str(followed), "--name", "me")
    running.client.post("/api/v1/logs", content=b'{"message":"line sent"}').raise_for_status()
    wait_for(running, 2)
    running.stop()
    copy(running.data, tmp_path / "backup")
    running.start()
    with followed.open("a") as file:
        file.write("line two\n")
    wait_for(running, 3)
    running.stop()

    shutil.rmtree(running.data)
    copy(tmp_path / "backup", running.data)
    running.start()

    wait_for(running, 3)
    messages = sorted(str(row["message"]) for row in running.search(q="line"))
    assert messages == ["line one", "line sent", "line two"]


def copy(source: Path, target: Path) -> None:
    """As the document copies."""
    (command,) = (line.split()[:2] for line in shell_lines() if "/var/backups" in line)
    subprocess.run([*command, str(source), str(target)], check=True)


def wait_for(running: RunningServer, count: int) -> None:
    deadline = time.monotonic() + 20
    while running.status()["stored"] != count:
        assert time.monotonic() < deadline, running.status()
        time.sleep(0.05)


def test_the_unit_waits_for_the_drain_and_keeps_to_its_directory() -> None:
    keys = dict(re.findall(r"^(\w+)=(.*)$", UNIT, re.MULTILINE))
    (drain,) = re.findall(r"^_DRAIN_SECONDS = ([\d.]+)", SOURCE, re.MULTILINE)
    web_server = (ROOT / "src" / "logriver" / "ingest" / "web_server.py").read_text()
    (graceful,) = re.findall(r"^_STOP_SECONDS = ([\d.]+)", web_server, re.MULTILINE)
    assert float(keys["TimeoutStopSec"]) > float(drain) + float(graceful)
    (grace,) = re.findall(r"stop_grace_period: (\d+)s", COMPOSE)
    assert float(grace) > float(drain) + float(graceful)
    assert keys["Environment"] == f"LOGRIVER_DATA=/var/lib/{keys['StateDirectory']}"
    assert (keys["ProtectSystem"], keys["NoNewPrivileges"], keys["KillSignal"]) == ("strict", "yes", "SIGTERM")
    (binary,) = re.findall(r"^python3 -m venv (\S+)$", "\n".join(shell_lines()), re.MULTILINE)
    assert keys["ExecStart"] == f"{binary}/bin/logriver serve"


def test_uninstalling_removes_what_installing_made() -> None:
    removed = {path for line in shell_lines() if line.startswith("rm ") for path in line.split()[1:]}
    state = re.findall(r"^Environment=LOGRIVER_DATA=(.*)$", UNIT, re.MULTILINE)
    settings = re.findall(r"^EnvironmentFile=-(.*)$", UNIT, re.MULTILINE)
    made = [line.split()[-1] for line in shell_lines() if line.startswith(("python3 -m venv", "cp deploy/"))]
    assert len(made) == 2
    assert {*state, *settings, *made} <= removed


def test_the_health_check_of_the_container_is_one(server: RunningServer) -> None:
    (check,) = re.findall(r"HEALTHCHECK.*\\\n CMD (\[.*\])", DOCKERFILE)
    python, *arguments = json.loads(check)
    assert python == "python"
    place = server.url.removeprefix("http://")
    healthy = [argument.replace("127.0.0.1:3000", place) for argument in arguments]
    broken = [argument.replace("127.0.0.1:3000", f"{place}/nothing") for argument in arguments]
    assert healthy != arguments
    assert subprocess.run([sys.executable, *healthy], check=False).returncode == 0
    assert subprocess.run([sys.executable, *broken], check=False, capture_output=True).returncode != 0


def test_the_container_has_a_python_that_is_supported_and_is_not_root() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    least = tuple(map(int, re.findall(r"\d+", project["requires-python"])))
    images = re.findall(r"^FROM python:(\d+)\.(\d+)-slim", DOCKERFILE, re.MULTILINE)
    assert len(images) == 2
    assert all((int(major), int(minor)) >= least for major, minor in images)
    assert re.findall(r"^(USER|VOLUME) (.*)$", DOCKERFILE, re.MULTILINE) == [("USER", "logriver"), ("VOLUME", "/data")]


def test_the_size_on_disk_is_what_was_measured() -> None:
    results = (ROOT / "bench" / "RESULTS.md").read_text()
    measured = float(re.findall(r"^\| table with indexes against raw \| ([\d.]+) \|", results, re.MULTILINE)[0])
    (stated,) = re.findall(r"N x B x D x ([\d.]+)", DOCUMENT)
    assert 0.8 <= float(stated) / measured <= 1.25
