"""What a check of `logriver doctor` found."""

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report, with `advice` on what to do.

    `fail` keeps Logriver from running or from keeping its promises; `warn` works and is likely to surprise.
    """

    verdict: Verdict
    name: str
    says: str
    advice: str = ""


def ok(name: str, says: str) -> Finding:
    """Nothing to do."""
    return Finding("ok", name, says)


def warn(name: str, says: str, advice: str) -> Finding:
    """It works, and somebody should look."""
    return Finding("warn", name, says, advice)


def fail(name: str, says: str, advice: str) -> Finding:
    """It does not work like this."""
    return Finding("fail", name, says, advice)
