"""`logriver doctor` as a user calls it: on good machines, and on each kind of bad one that a test can make."""

import itertools
import os
import re
import resource
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from logriver.cli.doctor import data as doctor_data
from logriver.cli.doctor import machine as doctor_machine
from logriver.store import memory
from logriver.store.migrations.data_format import FORMAT
from tests.conftest import RunningServer

CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("LOGRIVER_")}
# Root may read everything; these are the rights by which it does.
AS_ANYBODY = (
    ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search"]
    if os.geteuid() == 0
    else []
)


class Report:
    """What the command printed: `exit_code`, and verdict and text of each check."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.exit_code = done.returncode
        self.text = done.stdout + done.stderr
        self.checks = re.findall(r"^(ok|warn|fail) +(.{14}) (.*(?:\n +-> .*)?)", done.stdout, re.MULTILINE)

    def of(self, name: str) -> tuple[str, str]:
        """Verdict and text of the check, which is there once."""
        ((verdict, text),) = [(verdict, text) for verdict, label, text in self.checks if label.strip() == name]
        return verdict, text


def doctor(*arguments: object, before: tuple[str, ...] = (), files: int | None = None, **environment: str) -> Report:
    def limit() -> None:
        if files is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))

    command = [*before, sys.executable, "-m", "logriver", "doctor", *map(str, arguments)]
    done = subprocess.run(
        command,
        env=CLEAN | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=limit,
    )
    return Report(done)


def free_address() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


def peer(seconds_ahead: Callable[[int], float]) -> Iterator[str]:
    """Something that answers like a ready server, with a clock that is so far ahead at the n-th request."""
    asked = itertools.count()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Keep the test's output readable."""

        def do_GET(self) -> None:
            body = b'{"ready":true,"problems":[]}'
            self.send_response_only(200)
            self.send_header("Date", formatdate(time.time() + seconds_ahead(next(asked)), usegmt=True))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def an_hour_ahead() -> Iterator[str]:
    yield from peer(lambda request: 3600)


@pytest.fixture
def once_behind() -> Iterator[str]:
    """As a busy server, which did not make its date anew in time."""
    yield from peer(lambda request: 0 if request else -3)


def test_a_good_machine_passes_and_nothing_is_left_behind(tmp_path: Path) -> None:
    followed = tmp_path / "app.log"
    followed.write_text("a line\n")

    report = doctor("--data", tmp_path / "data", "--follow", followed, "--listen", free_address())

    assert report.exit_code == 0, report.text
    always = ("packages", "processor", "data directory", "lock", "fsync", "follow", "port")
    assert {name: report.of(name)[0] for name in always} == dict.fromkeys(always, "ok")
    assert {"memory", "open files", "clock", "disk", "file events"} <= {name.strip() for _, name, _ in report.checks}
    assert list(tmp_path.iterdir()) == [followed]


def test_it_does_not_load_the_engine(tmp_path: Path) -> None:
    program = (
        f"import sys; sys.argv = ['logriver', 'doctor', '--data', {str(tmp_path)!r}, '--listen', '127.0.0.1:0']\n"
        "import logriver.cli\n"
        "try: logriver.cli.main()\n"
        "finally: print('loaded', {'chdb', 'fastapi', 'uvicorn'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], env=CLEAN, capture_output=True, text=True, check=False)
    assert done.stdout.endswith("loaded set()\n"), done.stderr


def test_a_directory_that_is_served_and_its_server(new_server: Callable[..., RunningServer]) -> None:
    running = new_server()
    address = running.url.removeprefix("http://")

    report = doctor("--data", running.data, "--listen", address, "--server", running.url)

    assert report.exit_code == 0, report.text
    assert report.of("lock") == ("ok", f"in use by process {running.process.pid}: it is being served")
    assert report.of("port") == ("ok", f"{address} is taken by a logriver")
    assert report.of("data directory")[1].endswith("mode 0700")
    assert f"data format {FORMAT}," in report.of("data directory")[1]
    assert report.of("server") == ("ok", f"{running.url} is ready")
    assert report.of("server clock")[0] == "ok"

    other = doctor("--data", running.data.with_name("other"), "--listen", address)
    assert other.exit_code == 1
    assert other.of("port")[0] == "fail"
    assert other.of("port")[1].startswith(f"{address} is taken by a logriver with other data")

    running.stop()
    assert doctor_data.lock_holder(running.data) is None


def test_a_newer_data_format_fails_and_stays_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    (tmp_path / "FORMAT").write_text("999\n")

    report = doctor("--data", tmp_path)

    assert report.exit_code == 1
    verdict, text = report.of("data directory")
    assert verdict == "fail"
    assert "data format 999" in text
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("FORMAT", "999\n")]


@pytest.mark.parametrize(
    ("content", "mode", "words"),
    [({}, 0o755, "chmod 700"), ({"holiday.jpg": ""}, 0o700, "has no FORMAT"), ({"FORMAT": "x"}, 0o700, "says 'x'")],
    ids=["open to others", "not ours", "not a version"],
)
def test_a_directory_to_look_at(tmp_path: Path, content: dict[str, str], mode: int, words: str) -> None:
    for name, text in content.items():
        (tmp_path / name).write_text(text)
    tmp_path.chmod(mode)

    verdict, text = doctor("--data", tmp_path).of("data directory")

    assert verdict == ("fail" if "FORMAT" in content else "warn")
    assert words in text


def test_files_and_directories_that_cannot_be_read(tmp_path: Path) -> None:
    secret, shut = tmp_path / "secret.log", tmp_path / "shut"
    secret.write_text("x\n")
    secret.chmod(0)
    shut.mkdir()
    (shut / "a.log").write_text("x\n")
    shut.chmod(0)

    sources = [str(secret), str(shut / "a.log"), str(shut / "*.log"), str(shut)]
    reports = [doctor("--data", tmp_path / "data", "--follow", path, before=tuple(AS_ANYBODY)) for path in sources]
    shut.chmod(0o700)

    assert [report.exit_code for report in reports] == [1, 1, 1, 1]
    assert f"'{secret}' cannot be read" in reports[0].of("follow")[1]
    assert all(f"'{shut}' cannot be searched" in report.of("follow")[1] for report in reports[1:])


def test_a_closed_directory_does_not_keep_other_files_from_being_followed(
    tmp_path: Path, new_server: Callable[..., RunningServer]
) -> None:
    shut, other = tmp_path / "shut", tmp_path / "other.log"
    shut.mkdir()
    shut.chmod(0)
    other.write_text("followed all the same\n")
    sources = ("--follow", str(shut / "a.log"), "--follow", str(shut), "--follow", str(other))
    running = new_server(*sources)
    running.stop()
    running.data = tmp_path / "data2"
    running.wrapper = AS_ANYBODY
    running.start()

    deadline = time.monotonic() + 20
    while not running.search(q="followed") and time.monotonic() < deadline:
        time.sleep(0.1)
    shut.chmod(0o700)

    assert len(running.search(q="followed")) == 1


@pytest.mark.parametrize(("source", "verdict"), [("nope=/var/log/x", "fail"), ("/nowhere/x.log", "warn")])
def test_sources_that_cannot_be_or_are_not_there(tmp_path: Path, source: str, verdict: str) -> None:
    report = doctor("--data", tmp_path / "data", "--follow", source, "--listen", free_address())
    assert report.of("follow")[0] == verdict
    assert report.exit_code == (verdict == "fail")


def test_a_port_that_something_else_has(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"

        def hang_up() -> None:
            for _ in ("http", "https"):
                other.accept()[0].close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        report = doctor("--data", tmp_path / "data", "--listen", address)
        thread.join()
    assert report.exit_code == 1
    assert report.of("port")[0] == "fail"


def test_too_few_open_files(tmp_path: Path) -> None:
    report = doctor("--data", tmp_path / "data", files=256)
    assert (report.exit_code, report.of("open files")[0]) == (1, "fail")


def test_a_clock_that_was_set_back(tmp_path: Path, an_hour_ahead: str) -> None:
    (tmp_path / "log").mkdir()
    newest = tmp_path / "log" / "000000000001.log"
    newest.touch()
    os.utime(newest, (time.time() + 500, time.time() + 500))

    report = doctor("--data", tmp_path, "--server", an_hour_ahead)

    verdict, text = report.of("clock")
    assert verdict == "warn"
    assert re.search(rf"'{newest}' was written (49\d|500) s later", text)
    verdict, text = report.of("server clock")
    assert verdict == "warn"
    assert re.match(r"3(599|600) s ahead of", text)


def test_a_date_that_was_not_made_anew_in_time_is_no_clock_that_is_behind(tmp_path: Path, once_behind: str) -> None:
    report = doctor("--data", tmp_path / "data", "--server", once_behind)
    assert report.of("server clock")[0] == "ok"


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    report = doctor("--data", tmp_path / "data", "--server", f"http://{free_address()}")
    assert (report.exit_code, report.of("server")[0]) == (1, "fail")


def test_data_in_memory_are_warned_about() -> None:
    verdict, text = doctor("--data", "/dev/shm/logriver-doctor").of("disk")
    assert (verdict, "gone when the machine restarts" in text) == ("warn", True)


def test_a_certificate_that_is_none(tmp_path: Path) -> None:
    certificate = tmp_path / "cert.pem"
    certificate.write_text("not a certificate\n")
    with pytest.raises(ssl.SSLError):
        ssl.create_default_context().load_cert_chain(certificate)
    report = doctor("--data", tmp_path / "data", LOGRIVER_TLS_CERT=str(certificate))
    assert (report.exit_code, report.of("tls")[0]) == (1, "fail")


def test_a_wrong_setting(tmp_path: Path) -> None:
    report = doctor("--data", tmp_path, LOGRIVER_MAX_BODY_BYTE="1")
    assert report.exit_code == 2
    assert "did you mean 'max_body_bytes'?" in report.text


def test_a_processor_that_is_too_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "cpuinfo"
    monkeypatch.setattr(doctor_machine, "_CPU_INFO", info)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    lacking = {"avx2", "bmi1"}
    info.write_text(f"flags\t\t: fpu {' '.join(set(doctor_machine.CPU_FEATURES) - lacking)}\n")
    found = doctor_machine.processor()
    assert (found.verdict, found.says) == ("fail", "lacks avx2 bmi1")
    info.write_text(f"flags\t\t: fpu {' '.join(doctor_machine.CPU_FEATURES)}\n")
    assert doctor_machine.processor().verdict == "ok"


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the features are those of x86-64")
def test_the_engine_is_compiled_for_what_is_checked() -> None:
    program = "import chdb; print(chdb.query(\"SELECT value FROM system.build_options WHERE name = 'CXX_FLAGS'\"))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    machine_flags = set(re.findall(r"(?<=\s)-m(?!branches)\S+", done.stdout))
    assert machine_flags == {"-march=x86-64-v3", "-mpclmul"}


def test_the_limit_of_any_control_group_around_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "system.partition" / "logriver.service"
    own.mkdir(parents=True)
    (tmp_path / "cgroup").write_text("0::/system.partition/logriver.service\n")
    monkeypatch.setattr(memory, "_CGROUPS", tmp_path)
    monkeypatch.setattr(memory, "_OWN_CGROUP", tmp_path / "cgroup")
    monkeypatch.setattr(memory, "_OLD_CGROUP_LIMIT", tmp_path / "nothing")
    (own / "memory.max").write_text("max\n")
    unlimited = memory.machine_memory_bytes()
    (own.parent / "memory.max").write_text("700000000\n")
    assert memory.machine_memory_bytes() == 700_000_000 < unlimited
    (own / "memory.max").write_text("600000000\n")
    assert memory.machine_memory_bytes() == 600_000_000
