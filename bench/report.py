"""The figures as a table on the terminal and as a section of `RESULTS.md`.

Each measurement owns the text between its two markers and replaces it; everything else in the file is written by hand.
"""

import re
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.figures import Measurement, Values

RESULTS = Path(__file__).parent / "RESULTS.md"
_VERDICT = {None: "", True: "yes", False: "NO"}


def show(console: Console, measurement: Measurement, values: Values) -> None:
    """Print the figures of a measurement."""
    table = Table(title=measurement.title, title_justify="left")
    table.add_column("figure")
    for column in (*measurement.columns, "target"):
        table.add_column(column, justify="right")
    table.add_column("reached")
    for row in _rows(measurement, values):
        table.add_row(*row, style="red" if row[-1] == "NO" else "")
    console.print(table)


def write(measurement: Measurement, values: Values, facts: list[str], path: Path = RESULTS) -> None:
    """Replace the measurement's section of the file, or add it at the end."""
    begin, end = f"<!-- {measurement.name}: made by make bench -->", f"<!-- end of {measurement.name} -->"
    lines = [
        begin,
        f"## {measurement.title}",
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC · " + " · ".join(facts),
        "",
        f"| figure | {' | '.join(measurement.columns)} | target | reached |",
        f"|---|{'---:|' * len(measurement.columns)}---:|---|",
        *(f"| {' | '.join(row)} |" for row in _rows(measurement, values)),
        end,
    ]
    section = "\n".join(lines)
    text = path.read_text(encoding="utf-8")
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    if not pattern.search(text):
        text = f"{text.rstrip()}\n\n{begin}{end}\n"
    path.write_text(pattern.sub(lambda _: section, text), encoding="utf-8")


def _rows(measurement: Measurement, values: Values) -> list[tuple[str, ...]]:
    return [
        (figure.label, *_texts(measurement, key, values), figure.target, _VERDICT[figure.reached(values[key])])
        for key, figure in measurement.figures.items()
        if key in values
    ]


def _texts(measurement: Measurement, key: str, values: Values) -> list[str]:
    figure = measurement.figures[key]
    keys = [key, *(f"{key} {column}" for column in measurement.columns[1:])]
    return [figure.text(values[key]) if key in values else "" for key in keys]
