"""Sending NDJSON batches to a server so that each is stored once, however often it has to be sent."""

import threading
import time
import uuid
from collections.abc import Sequence
from typing import Self

import httpx
import msgspec

from logriver import clock
from logriver.cli.client import TRY_AGAIN, connect, error_of, retry_after_seconds
from logriver.cli.render import output
from logriver.errors import Unavailable

MAX_REASONS = 20
"""Reasons of refused lines that are kept for the report."""

_FIRST_WAIT_SECONDS = 0.1
_LONGEST_WAIT_SECONDS = 10.0
_SILENT_SECONDS = 2.0
# Who asks for the end waits no longer for a server that is away.
_STOPPING_SECONDS = 3.0


class _LineError(msgspec.Struct):
    line: int
    reason: str


class _Answer(msgspec.Struct):
    accepted: int
    rejected: int
    errors: list[_LineError] = []


class Delivery:
    """A way to one server, and the exact count of what became of the records given to it.

    When `stop` is set, a server that is away or overloaded is not tried for much longer.
    """

    def __init__(
        self, server: str, retry_seconds: float = 60.0, token: str = "", stop: threading.Event | None = None
    ) -> None:
        self.server = server
        self.retry_seconds = retry_seconds
        self.accepted = 0
        self.rejected = 0
        self.reasons: list[tuple[int, str]] = []
        self._stop = stop or threading.Event()
        self._has_said = False
        self._client = connect(server, token=token)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def post(self, documents: Sequence[bytes], numbers: Sequence[int]) -> None:
        """Send `documents` (each with its newline), whose `numbers` the reasons of refusals are reported under.

        Waits and sends the same batch under the same key while the server is away or overloaded. Raises `Unavailable`
        when that took `retry_seconds`: whether the batch was stored is then unknown.
        """
        answer = self._send_until_answered(b"".join(documents))
        try:
            counts = msgspec.json.decode(answer.content, type=_Answer)
        except (msgspec.DecodeError, UnicodeDecodeError):
            if answer.is_success:
                raise Unavailable(f"{self.server[:80]!r} does not answer like a logriver") from None
            self.refuse(numbers[0], error_of(answer).message, len(documents))
            return
        self.accepted += counts.accepted
        self.rejected += counts.rejected
        for error in counts.errors:
            self._keep_reason(numbers[min(max(error.line, 1), len(numbers)) - 1], error.reason)

    def refuse(self, number: int, reason: str, count: int = 1) -> None:
        """Count `count` records from `number` on as rejected."""
        self.rejected += count
        self._keep_reason(number, reason)

    def _send_until_answered(self, body: bytes) -> httpx.Response:
        headers = {"Content-Type": "application/x-ndjson", "Idempotency-Key": uuid.uuid4().hex}
        began = clock.monotonic()
        give_up_at = began + self.retry_seconds
        wait_seconds = _FIRST_WAIT_SECONDS
        while True:
            try:
                answer = self._client.post("/api/v1/logs", content=body, headers=headers)
                if answer.status_code not in TRY_AGAIN:
                    return answer
                problem = error_of(answer).message
                pause = retry_after_seconds(answer) or wait_seconds
            except httpx.TransportError as error:
                problem = str(error) or type(error).__name__
                pause = wait_seconds
            now = clock.monotonic()
            if self._stop.is_set():
                give_up_at = min(give_up_at, now + _STOPPING_SECONDS)
            if now + pause > give_up_at:
                raise Unavailable(f"{self.server[:80]!r} did not take it for {now - began:.3g} s: {problem}")
            if now - began > _SILENT_SECONDS and not self._has_said:
                self._has_said = True
                output.note(f"{self.server[:80]!r} does not take it yet: {problem}; trying again")
            self._wait(pause)
            wait_seconds = min(wait_seconds * 2, _LONGEST_WAIT_SECONDS)

    def _wait(self, seconds: float) -> None:
        if self._stop.is_set():
            time.sleep(seconds)
        else:
            self._stop.wait(seconds)

    def _keep_reason(self, number: int, reason: str) -> None:
        if len(self.reasons) < MAX_REASONS:
            self.reasons.append((number, reason))
