"""The demo for real: server, generators, followed files, and every number compared."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from logriver.cli.demo import count as demo_count


def start(directory: Path, *arguments: str) -> subprocess.Popen[bytes]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LOGRIVER_")}
    environment |= {"TMPDIR": str(directory), "COLUMNS": "200"}
    command = [sys.executable, "-m", "logriver", "demo", *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def address_of(shown: bytes) -> str:
    return next(word for word in shown.decode().split() if word.startswith("http://127.0.0.1:"))


def test_demo_agrees_with_its_files_and_cleans_up(tmp_path: Path) -> None:
    with start(tmp_path, "--agents", "3", "--for", "15s") as demo:
        shown = shown_until(demo, b"/logs?hostname=*")
        assert_answered_by(shown.decode().split("'")[-2], {"web-1", "web-2", "web-3"})
        rest, errors = demo.communicate(timeout=120)
    assert demo.returncode == 0, rest.decode() + errors.decode()
    assert b"everything agrees" in rest
    for number in range(1, 21):
        assert f"cust_{number} " in rest.decode()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(httpx.ConnectError):
        httpx.get(address_of(shown), trust_env=False)


def shown_until(demo: subprocess.Popen[bytes], text: bytes) -> bytes:
    """What the demo prints up to the line with `text`."""
    assert demo.stdout
    assert demo.stderr
    shown = b""
    while text not in shown:
        line = demo.stdout.readline()
        assert line, shown + demo.stderr.read()
        shown += line
    return shown


def assert_answered_by(url: str, hosts: set[str]) -> None:
    """The call that the demo shows gives lines of files that nobody sends, soon of all `hosts`."""
    found: set[str] = set()
    for _ in range(100):
        lines = httpx.get(url, trust_env=False).text.splitlines()
        assert len(lines) <= 10
        found |= {line.partition(": ")[0] for line in lines}
        if found == hosts:
            return
        time.sleep(0.1)
    raise AssertionError(found)


def test_ctrl_c_stops_all(tmp_path: Path) -> None:
    with start(tmp_path) as demo:
        address = address_of(shown_until(demo, b"Ctrl-C stops everything"))
        assert httpx.get(f"{address}/health", trust_env=False).status_code == 200
        time.sleep(1)
        demo.send_signal(signal.SIGINT)
        assert demo.wait(60) == 0
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(httpx.ConnectError):
        httpx.get(address, trust_env=False)


def test_demos_that_start_at_once_do_not_take_each_others_port(tmp_path: Path) -> None:
    places = [tmp_path / str(number) for number in range(3)]
    for place in places:
        place.mkdir()
    demos = [start(place) for place in places]
    try:
        addresses = {address_of(shown_until(demo, b"Ctrl-C stops everything")) for demo in demos}
    finally:
        # Also after a failure: what goes on keeps the ports that other tests look at.
        for demo in demos:
            demo.send_signal(signal.SIGINT)
        ended = []
        for demo in demos:
            with demo:
                ended.append(demo.wait(60))
    assert len(addresses) == 3
    assert ended == [0, 0, 0]


def test_the_own_count_is_the_one_that_users_know(tmp_path: Path) -> None:
    file = tmp_path / "api_requests.log"
    pairs = [(1.5, 200), (0.8, 201), (1.7, 500), (1.6, 400)]
    file.write_text("".join(f"2024-09-14 16:15:35 cust_5 /x {status} {seconds}\n" for seconds, status in pairs))
    counted = demo_count.count(file)
    assert (counted.lines, counted.first_day) == (4, "2024-09-14")
    numbers = counted.customers["cust_5"].statistics()
    assert list(numbers.values()) == [4, 2, 2, 50.0, 1.4, 1.6, 1.7]
    assert demo_count.differences(numbers, dict(numbers)) == []
    assert demo_count.differences(numbers, numbers | {"p99_latency": 1.6}) == ["p99_latency"]
    assert demo_count.differences(numbers, {}) == list(numbers)


def test_p99_is_a_value_that_occurred() -> None:
    customer = demo_count.Customer([200] * 200, [number / 1000 for number in range(1, 201)])
    assert customer.statistics()["p99_latency"] == 0.198
    assert customer.statistics()["median_latency"] == 0.101
