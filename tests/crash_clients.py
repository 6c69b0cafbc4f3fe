"""Clients for crash tests: they number their records and send each batch, with its key, until it is acknowledged."""

import json
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.conftest import RunningServer

_SETTLED_SECONDS = 90
_QUERY = """
import sys
from chdb.session import Session
sys.stdout.buffer.write(Session(sys.argv[1]).query(sys.argv[2], "JSONCompact").bytes())
"""


def body(client: str, first: int, count: int) -> bytes:
    """NDJSON of numbered records."""
    lines = [{"message": f"record {n} of {client}", "client": client, "n": n} for n in range(first, first + count)]
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


class Client(threading.Thread):
    """Sends batches of up to `most` records one after the other until told to finish.

    `acknowledged` are the numbers that were answered for, `refused` those that got a 503. A batch without a clear
    answer is sent again under the same key; one with a 503 only if `stubborn`.
    """

    def __init__(self, server: RunningServer, name: str, *, most: int, seed: int, stubborn: bool = True) -> None:
        super().__init__(name=name, daemon=True)
        self._server = server
        self._most = most
        self._random = random.Random(seed)
        self._stubborn = stubborn
        self._finish = threading.Event()
        self._http = httpx.Client(timeout=30)
        self.acknowledged: list[int] = []
        self.refused: list[int] = []
        self.duplicates = 0
        self.wrong: list[str] = []

    def finish(self) -> None:
        """Send the last batch until it is acknowledged, then end."""
        self._finish.set()
        self.join(_SETTLED_SECONDS)
        assert not self.is_alive(), f"{self.name} still waits for an answer"
        self.close()
        assert not self.wrong, self.wrong

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def run(self) -> None:
        """Send until told to finish."""
        first = 0
        while not self._finish.is_set() and not self.wrong:
            count = self._random.randint(1, self._most)
            self.send(first, count)
            first += count
            time.sleep(self._random.uniform(0, 0.03))

    def send(self, first: int, count: int) -> None:
        """Send one batch until there is a clear answer."""
        numbers = range(first, first + count)
        while (answer := self._post(first, count)) is None or (answer.status_code == 503 and self._stubborn):
            time.sleep(0.02)
        if answer.status_code == 200:
            self._check(answer.json(), count)
            self.acknowledged += numbers
        elif answer.status_code == 503:
            assert int(answer.headers["retry-after"]) > 0
            self.refused += numbers
        else:
            self.wrong.append(f"{answer.status_code} {answer.text}")

    def _post(self, first: int, count: int) -> httpx.Response | None:
        """One attempt; None where the connection broke."""
        headers = {"Idempotency-Key": f"{self.name}-{first}"}
        try:
            # The address is another one after each start.
            url = f"{self._server.url}/api/v1/logs"
            return self._http.post(url, content=body(self.name, first, count), headers=headers)
        except httpx.TransportError:
            return None

    def _check(self, answer: dict[str, object], count: int) -> None:
        self.duplicates += answer["duplicate"] is True
        if (answer["accepted"], answer["rejected"]) != (count, 0):
            self.wrong.append(f"{count} records: {answer}")


@contextmanager
def sending(server: RunningServer, sizes: list[int], seed: int, *, stubborn: bool = True) -> Iterator[list[Client]]:
    """A client for each size of batches, sending inside of this block; at its end they wait for their last answer."""
    clients = [
        Client(server, f"c{number}", most=most, seed=seed + number, stubborn=stubborn)
        for number, most in enumerate(sizes)
    ]
    for client in clients:
        client.start()
    yield clients
    for client in clients:
        client.finish()


def start(server: RunningServer) -> bool:
    """Start it; False if it died before it was ready."""
    try:
        server.start()
    except RuntimeError:
        assert server.process.stdout is not None
        server.process.stdout.close()
        return False
    return True


def wait_until_stored(server: RunningServer) -> dict[str, object]:
    """The status, once nothing is waiting."""
    deadline = time.monotonic() + _SETTLED_SECONDS
    while (status := server.status())["waiting"]:
        assert time.monotonic() < deadline, status
        time.sleep(0.05)
    return status


def found(server: RunningServer, name: str) -> Counter[tuple[str, int]]:
    """How often each numbered record is found; `name` is the field that says whose it is."""
    counts: Counter[tuple[str, int]] = Counter()
    cursor = ""
    while True:
        parameters = {"limit": "10000", "cursor": cursor} if cursor else {"limit": "10000"}
        answer = server.client.get("/api/v1/search", params=parameters)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        counts.update((row[name], row["n"]) for row in page["rows"] if name in row)
        cursor = page["cursor"]
        if not cursor:
            return counts


def assert_exactly_once(server: RunningServer, clients: list[Client]) -> None:
    """Every acknowledged record is found once, no refused one, and none that was never sent."""
    wait_until_stored(server)
    expected = Counter((client.name, n) for client in clients for n in client.acknowledged)
    counts = found(server, "client")
    assert max(expected.values()) == 1
    assert sorted((expected - counts).elements())[:20] == [], "lost"
    assert sorted((counts - expected).elements())[:20] == [], "doubled, or refused and stored"


def stored(data: Path, sql: str) -> list[list[object]]:
    """The engine's own answer, read from the files of a server that is stopped."""
    command = [sys.executable, "-c", _QUERY, str(data / "store"), sql]
    answer = subprocess.run(command, capture_output=True, check=True, timeout=60)
    rows: list[list[object]] = json.loads(answer.stdout)["data"]
    return rows
