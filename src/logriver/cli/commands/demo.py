"""`logriver demo`: server, generators and followed files on fresh data, checked by an own count of the files."""

import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import httpx
import typer
from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from logriver import clock
from logriver.cli.client import connect
from logriver.cli.commands.generate import write_until
from logriver.cli.demo import count as demo_count
from logriver.cli.demo.agents import READ_FILE, DemoAgents
from logriver.cli.demo.server import DemoServer
from logriver.cli.interrupt import stop_on_interrupt
from logriver.cli.render import output
from logriver.errors import Unavailable

REQUESTS_A_SECOND = 200.0
APP_LINES_A_SECOND = 100.0
AGENT_LINES_A_SECOND = 20.0
SEARCHABLE_SECONDS = 60.0


def run(
    duration: Annotated[
        str | None, typer.Option("--for", help="stop after so long, such as 30s, and check the result")
    ] = None,
    agents: Annotated[
        int, typer.Option(min=0, max=20, help="so many agents beside it, whose files are read where they lie")
    ] = 0,
) -> None:
    """Exit codes: 0 stopped, and with `--for` every number agreed; 1 something differed or did not run."""
    seconds = None if duration is None else output.duration_seconds(duration)
    stop = stop_on_interrupt()
    console = Console(highlight=False, emoji=False)
    directory = Path(tempfile.mkdtemp(prefix="logriver-demo-"))
    try:
        agreed = _run(directory, seconds, agents, stop, console)
    except (Unavailable, httpx.HTTPError) as error:
        output.fail(str(error))
    finally:
        shutil.rmtree(directory)
    if not agreed:
        output.fail("the server's numbers differ from the files'")


def _run(directory: Path, seconds: float | None, agents: int, stop: threading.Event, console: Console) -> bool:
    """The whole demo in `directory`; whether server and files agreed (True where nothing was compared)."""
    requests, app = directory / "api_requests.log", directory / "app.log"
    server = DemoServer(directory, {"api_requests": requests, "json": app})
    try:
        address = server.wait_ready(stop)
        with connect(address) as client, _agents(directory, address, agents) as machines:
            machines.wait_connected(client, stop)
            with _growing(requests, app, machines):
                console.print(_welcome(address, requests, app, machines, seconds))
                _wait(server, stop, seconds)
            if seconds is None or stop.is_set():
                return True
            return _check(client, requests, [app, *machines.followed], console)
    finally:
        server.stop()


@contextmanager
def _agents(directory: Path, address: str, count: int) -> Iterator[DemoAgents]:
    """The agents, stopped when the body ends."""
    machines = DemoAgents(directory, address, count)
    try:
        yield machines
    finally:
        machines.stop()


@contextmanager
def _growing(requests: Path, app: Path, machines: DemoAgents) -> Iterator[None]:
    """All files grow while the body runs; afterwards they end with a whole line."""
    files = [(requests, "api_requests", REQUESTS_A_SECOND), (app, "app", APP_LINES_A_SECOND)]
    files += [(path, "api_requests", AGENT_LINES_A_SECOND) for path in machines.read]
    files += [(path, "nginx", AGENT_LINES_A_SECOND) for path in machines.followed]
    enough = threading.Event()
    with ThreadPoolExecutor(len(files), "generator") as pool:
        writers: list[Future[int]] = [
            pool.submit(write_until, enough, path, log_format, rate, seed)
            for seed, (path, log_format, rate) in enumerate(files, 1)
        ]
        try:
            yield
        finally:
            enough.set()
    for writer in writers:
        writer.result()


def _wait(server: DemoServer, stop: threading.Event, seconds: float | None) -> None:
    """Until Ctrl-C or the time is over. Raises `Unavailable` if the server ends before that."""
    end = None if seconds is None else clock.monotonic() + seconds
    while end is None or clock.monotonic() < end:
        left = 0.5 if end is None else min(0.5, end - clock.monotonic())
        if stop.wait(max(0.0, left)):
            return
        if not server.running():
            raise Unavailable(f"the server ended:\n{server.last_words()}")


def _welcome(address: str, requests: Path, app: Path, machines: DemoAgents, seconds: float | None) -> Panel:
    ends = "Ctrl-C stops everything" if seconds is None else f"stops by itself after {seconds:g} s"
    lines = [
        f"[bold]page[/]      {address}   (all calls: {address}/docs)",
        f"[bold]follows[/]   {requests}\n          {app}",
        "",
        "[bold]try in another terminal[/]",
        f"[cyan]curl '{address}/api/v1/search?q=level:error&limit=3'[/]",
        f"[cyan]curl '{address}/customers/cust_1/stats?from_date=2024-01-01'[/]",
        f"[cyan]curl '{address}/api/v1/status'[/]",
    ]
    if machines.names:
        lines.insert(2, f"[bold]agents[/]    {', '.join(machines.names)}   (each has an {READ_FILE} that nobody sends)")
        lines.append(f"[cyan]curl '{address}/logs?hostname=*&filename={READ_FILE}&n=10'[/]")
    return Panel("\n".join(lines), title="logriver demo", subtitle=ends, expand=False)


def _check(client: httpx.Client, requests: Path, others: list[Path], console: Console) -> bool:
    """Compare the server's statistics of every customer, and its number of records, with the files."""
    counted = demo_count.count(requests)
    written = counted.lines + sum(len(path.read_bytes().splitlines()) for path in others)
    status = _wait_searchable(client, written)
    table = Table("customer", "requests", "uptime", "average s", "median s", "p99 s", "agrees")
    agreed = status["stored"] == written and not status["dead_letters"]
    for name in sorted(counted.customers, key=lambda name: (len(name), name)):
        numbers = counted.customers[name].statistics()
        answer = client.get(f"/customers/{name}/stats", params={"from_date": counted.first_day})
        differing = demo_count.differences(numbers, answer.json() if answer.is_success else {})
        agreed = agreed and not differing
        shown = ("total_requests", "uptime", "average_latency", "median_latency", "p99_latency")
        verdict = f"[red]{', '.join(differing)}[/]" if differing else "[green]yes[/]"
        table.add_row(name, *(f"{numbers[key]:g}" for key in shown), verdict)
    console.print(table)
    console.print(
        f"lines written {written}, records stored {status['stored']}, dead letters {status['dead_letters']}: "
        + ("[bold green]everything agrees[/]" if agreed else "[bold red]not equal[/]")
    )
    return agreed


def _wait_searchable(client: httpx.Client, written: int) -> dict[str, int]:
    """The status once nothing waits and `written` records are stored, or as it is after a minute."""
    give_up_at = clock.monotonic() + SEARCHABLE_SECONDS
    while True:
        status: dict[str, int] = client.get("/api/v1/status").raise_for_status().json()
        done = status["waiting"] == 0 and status["stored"] + status["dead_letters"] >= written
        if done or clock.monotonic() > give_up_at:
            return status
        time.sleep(0.1)
