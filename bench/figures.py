"""What a measurement gives: figures with a name, a unit and sometimes a target, each a median over the repeats."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

Values = dict[str, float]


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure. `at_least` or `at_most` is what it is to reach."""

    label: str
    unit: str
    digits: int = 0
    at_least: float | None = None
    at_most: float | None = None

    def text(self, value: float) -> str:
        """The value with its unit."""
        return f"{value:,.{self.digits}f} {self.unit}".strip()

    @property
    def target(self) -> str:
        """The target, empty without one."""
        if self.at_least is not None:
            return f">= {self.text(self.at_least)}"
        return f"<= {self.text(self.at_most)}" if self.at_most is not None else ""

    def reached(self, value: float) -> bool | None:
        """Whether the value meets the target; None without one."""
        if self.at_least is not None:
            return value >= self.at_least
        return value <= self.at_most if self.at_most is not None else None


@dataclass(frozen=True, slots=True)
class Workload:
    """What a measurement works on: `logs` is an NDJSON file of `count` records, `folder` is free to use."""

    folder: Path
    logs: Path
    count: int


@dataclass(frozen=True, slots=True)
class Measurement:
    """A part of the benchmark: `measure` gives values by the keys of `figures`, in one run.

    With `columns` a figure has more values than one, beside each other: the first column is its own, that of another is
    under the figure's key, a space and the column's name.
    """

    name: str
    title: str
    figures: dict[str, Figure]
    measure: Callable[[Workload], Values]
    columns: tuple[str, ...] = ("value",)


def medians(runs: Sequence[Values]) -> Values:
    """The median of each figure over the runs."""
    return {key: statistics.median(run[key] for run in runs if key in run) for key in runs[0]}
