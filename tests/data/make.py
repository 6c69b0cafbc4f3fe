"""Makes `format_N/`: a small data directory as this version leaves it when it is killed, and what must come out of it.

Run once for each data format, by the last version that writes it: `.venv/bin/python -m tests.data.make`. A directory
that was made is never changed: all later versions have to open it (`tests/store/test_formats_kept.py`).
"""

import io
import json
import os
import shutil
import tarfile
import tempfile
import time
from pathlib import Path

import zstandard

from logriver.store.directory import open_directory
from tests.conftest import RunningServer

FOLLOWED = Path("/tmp/logriver_kept/app.jsonl")
FOLLOWER = "kept"
NOT_KEPT = {"LOCK", "TOKEN", "engine.xml", "reserve", "tmp"}

SMALL = {"LOGRIVER_SEGMENT_BYTES": "20000", "STREAM_MAX_WAIT_TIME_IN_SECONDS": "0.05", "STREAM_MAX_SIZE": "500"}
HELD = {
    "LOGRIVER_SEGMENT_BYTES": "20000",
    "STREAM_MAX_WAIT_TIME_IN_SECONDS": "3600",
    "STREAM_MAX_SIZE": "100000000",
    "LOGRIVER_BLOCK_BYTES": "100000000000",
}


def main() -> None:
    """Make it beside this file, in the place of an older try."""
    shutil.rmtree(FOLLOWED.parent, ignore_errors=True)
    FOLLOWED.parent.mkdir()
    with tempfile.TemporaryDirectory() as place:
        data = Path(place) / "data"
        expected = _fill(data)
        opened = open_directory(data)
        expected["node"] = opened.node
        opened.close()
        target = Path(__file__).parent / f"format_{(data / 'FORMAT').read_text().strip()}"
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        (target / "data.tar.zst").write_bytes(_packed(data))
        (target / "expected.json").write_text(json.dumps(expected, indent=1, sort_keys=True) + "\n")
    shutil.rmtree(FOLLOWED.parent)


def _fill(data: Path) -> dict[str, object]:
    """Records that are stored, then records that are only in the log; killed. What must come out of the directory."""
    follow = ("--follow", f"json={FOLLOWED}", "--name", FOLLOWER)
    server = RunningServer(data, *follow, environment=SMALL)
    _send(server, "plain", 300)
    _send(server, "keyed", 200, keyed=True)
    _grow(0, 120)
    _wait_followed(server)
    answer = server.client.post("/api/v1/fields/region/promotion")
    assert answer.status_code == 200, answer.text
    letters = _letters(server)
    replay = server.client.post(f"/api/v1/dead-letters/{letters[0]['id']}/replay", content=b'{"replayed": true}')
    assert replay.status_code == 200, replay.text
    ids = [row["_id"] for row in server.search(q="client:plain n:>=295", limit=10)]
    assert server.stop() == 0

    server = RunningServer(data, *follow, environment=HELD)
    _send(server, "later", 400)
    _send(server, "laterkeyed", 200, keyed=True)
    _grow(120, 160)
    _wait_followed(server, stored=False)
    second = _letters(server)[0]["id"]
    replay = server.client.post(f"/api/v1/dead-letters/{second}/replay", content=b'{"replayed": true}')
    assert replay.status_code == 200, replay.text
    waiting, kept = server.status()["waiting"], _letters(server)
    server.kill()
    lines = FOLLOWED.read_bytes().splitlines()
    good = sum(line.startswith(b"{") for line in lines)
    return {
        "counts": {"plain": 300, "keyed": 200, "later": 400, "laterkeyed": 200, "file": good},
        "replayed": 2,
        "records": 300 + 200 + 400 + 200 + good + 2,
        "waiting_when_killed": waiting,
        "keys": {"stored": 4, "all": 8},
        "dead_letters_shown_when_killed": [{k: letter[k] for k in ("id", "raw", "source")} for letter in kept],
        "dead_letters": len(lines) - good - 2,
        "bad_lines": [line.decode() for line in lines if not line.startswith(b"{")],
        "ids": ids,
        "record": next(row for row in [json.loads(lines[7])]),
        "source": str(FOLLOWED),
        "follower": FOLLOWER,
        "ledger_end": FOLLOWED.stat().st_size,
        "promoted": ["region"],
    }


def _send(server: RunningServer, client: str, count: int, keyed: bool = False) -> None:
    for first in range(0, count, 50):
        lines = [_record(client, n) for n in range(first, first + 50)]
        headers = {"Idempotency-Key": f"{client}-{first}"} if keyed else {}
        answer = server.client.post("/api/v1/logs", content="\n".join(lines), headers=headers)
        assert answer.json()["accepted"] == len(lines), answer.text


def _record(client: str, n: int) -> str:
    record = {
        "timestamp": f"2026-11-0{1 + n % 9}T08:00:{n % 60:02}.{n:03}Z",
        "level": ("info", "WARNING", "error")[n % 3],
        "message": f"record {n} of {client}: caf\u00e9 \t \\ done",
        "service": f"shop{n % 4}",
        "client": client,
        "n": n,
        "region": f"r{n % 5}",
        "metadata": {"parentResourceId": f"server-{n % 7}", "parts": [n, "x"]},
    }
    return json.dumps(record)


def _grow(first: int, end: int) -> None:
    with FOLLOWED.open("a") as file:
        for n in range(first, end):
            file.write(f"{{bad line {n}\n".removeprefix("{") if n % 20 == 13 else _record("file", n) + "\n")


def _wait_followed(server: RunningServer, *, stored: bool = True) -> None:
    deadline = time.monotonic() + 60
    while True:
        [source] = server.client.get("/api/v1/sources").json()["sources"]
        waits = stored and server.status()["waiting"]
        if source["committed_bytes"] == FOLLOWED.stat().st_size and not waits:
            return
        assert time.monotonic() < deadline, source
        time.sleep(0.05)


def _letters(server: RunningServer) -> list[dict[str, str]]:
    letters: list[dict[str, str]] = server.client.get("/api/v1/dead-letters").json()["dead_letters"]
    return letters


def _packed(data: Path) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(data.rglob("*")):
            name = path.relative_to(data)
            if name.parts[0] not in NOT_KEPT:
                archive.add(path, name, recursive=False, filter=_nobodys)
    return zstandard.ZstdCompressor(level=19).compress(packed.getvalue())


def _nobodys(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


if __name__ == "__main__":
    os.environ.setdefault("TZ", "UTC")
    main()
