"""`python -m bench [--logs N] [--only bulk,floor,single,..] [--repeat N]`, from the root of the repository.

Everything is started, measured and stopped here; the data are made in a temporary folder that is removed (the 10 M logs
that queries are measured on stay beside it: 1 GB). The exit code is 1 when a measurement failed, not when a target was
missed: targets are read beside the figures.
"""

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from bench import agent, bulk, files, floor, idle, machine, page, queries, report, row_formats, single, user_formats
from bench.data import write_logs
from bench.figures import Measurement, Values, Workload, medians

MEASUREMENTS = (
    bulk.MEASUREMENT,
    floor.MEASUREMENT,
    single.MEASUREMENT,
    idle.MEASUREMENT,
    row_formats.MEASUREMENT,
    user_formats.MEASUREMENT,
    queries.MEASUREMENT,
    files.MEASUREMENT,
    agent.MEASUREMENT,
    page.MEASUREMENT,
)
LEAST_LOGS = 50_000


def main() -> None:
    """Run the measurements that were asked for."""
    options = _options()
    # A stopped benchmark must stop its server too: SIGTERM becomes an exception that passes through every `with`.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    console = Console()
    with tempfile.TemporaryDirectory(prefix="logriver-bench-", dir=options.folder) as folder:
        workload = Workload(Path(folder), Path(folder) / "logs.ndjson", options.logs)
        console.print(f"making {workload.count:,} logs")
        write_logs(workload.logs, workload.count)
        facts = [*machine.describe(workload.folder), f"{workload.count:,} logs", f"median of {options.repeat}"]
        console.print("\n".join(facts))
        failed = run_all(console, options.measurements, workload, options.repeat, facts)
    sys.exit(1 if failed else 0)


def run_all(
    console: Console, measurements: list[Measurement], workload: Workload, repeat: int, facts: list[str]
) -> list[str]:
    """Measure, show and write each; the names of those that failed. A failure leaves the others their turn."""
    failed = []
    results: dict[str, Values] = {}
    for measurement in measurements:
        try:
            values = _repeated(console, measurement, workload, repeat)
        except (RuntimeError, OSError) as error:
            console.print(f"{measurement.name} failed: {error}", style="red", markup=False)
            failed.append(measurement.name)
            continue
        results[measurement.name] = values
        if measurement is floor.MEASUREMENT and "bulk" in results:
            values |= floor.ratios(results["bulk"], values)
        report.show(console, measurement, values)
        report.write(measurement, values, facts)
    return failed


def _repeated(console: Console, measurement: Measurement, workload: Workload, repeat: int) -> Values:
    runs = []
    for number in range(1, repeat + 1):
        began = time.monotonic()
        runs.append(measurement.measure(workload))
        console.print(f"{measurement.name}: run {number} of {repeat} took {time.monotonic() - began:.0f} s")
    return medians(runs)


def _options() -> argparse.Namespace:
    known = {measurement.name: measurement for measurement in MEASUREMENTS}
    parser = argparse.ArgumentParser(prog="python -m bench", description="measure a real server on this machine")
    parser.add_argument("--logs", type=int, default=2_000_000, help="records of the bulk measurement")
    parser.add_argument("--only", default=",".join(known), help="measurements, of %(default)s")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each; the median is shown")
    parser.add_argument("--folder", type=Path, help="where the temporary folder is made; a real disk, not memory")
    options = parser.parse_args()
    unknown = set(options.only.split(",")) - set(known)
    if unknown:
        parser.error(f"unknown measurement {min(unknown)!r}, there are {', '.join(known)}")
    if options.logs < LEAST_LOGS or options.repeat < 1:
        parser.error(f"at least {LEAST_LOGS} logs and one run are needed")
    options.measurements = [known[name] for name in options.only.split(",")]
    return options


if __name__ == "__main__":
    main()
