"""`logriver doctor`: will a server run here as it promises? One line a check, and what to do."""

from pathlib import Path
from typing import Annotated

import typer

from logriver.cli.doctor import access as doctor_access
from logriver.cli.doctor import damage as doctor_damage
from logriver.cli.doctor import data as doctor_data
from logriver.cli.doctor import machine as doctor_machine
from logriver.cli.doctor import parts as doctor_parts
from logriver.cli.doctor import server as doctor_server
from logriver.cli.doctor.finding import Finding
from logriver.cli.render import output
from logriver.errors import SettingsError
from logriver.settings import Settings, load

_COLOURS = {"ok": typer.colors.GREEN, "warn": typer.colors.YELLOW, "fail": typer.colors.RED}
_NAME_WIDTH = 15


def run(
    data: Annotated[Path | None, typer.Option(help="data directory, as for serve")] = None,
    follow: Annotated[
        list[str] | None,
        typer.Option(metavar="[[FORMAT][@ZONE]=]PATH", help="a file that is to be followed, as for serve"),
    ] = None,
    listen: Annotated[list[str] | None, typer.Option(help="address and port, as for serve")] = None,
    config: Annotated[Path | None, typer.Option(help="config file, as for serve")] = None,
    server: Annotated[str | None, typer.Option("--server", help="also ask a server that runs")] = None,
) -> None:
    """Check this machine with a server's own settings, as the user that calls; nothing is changed.

    Exit codes: 0 it will run (warnings or not), 1 something fails, 2 a wrong setting.
    """
    try:
        settings = load(data=data, follow=follow or None, listen=listen or None, config=config)
    except SettingsError as error:
        output.fail(error.message, code=2)
    findings = [*_machine(settings), *_data(settings), *_network(settings)]
    findings += doctor_server.server(server) if server else []
    for finding in findings:
        _show(finding)
    failed = sum(finding.verdict == "fail" for finding in findings)
    warned = sum(finding.verdict == "warn" for finding in findings)
    typer.echo(f"{len(findings)} checks as {doctor_data.user()}: {failed} failed, {warned} to look at")
    if failed:
        raise typer.Exit(1)


def _machine(settings: Settings) -> list[Finding]:
    return [
        doctor_machine.packages(),
        doctor_machine.processor(),
        doctor_machine.memory(settings.max_memory_bytes),
        doctor_machine.open_files(),
        doctor_machine.wall_clock(settings.data),
    ]


def _data(settings: Settings) -> list[Finding]:
    data = settings.data.expanduser().absolute()
    findings = [
        doctor_data.directory(data),
        doctor_data.lock(data),
        doctor_data.disk(data, settings.max_backlog_bytes),
        doctor_data.fsync(data),
        *doctor_damage.damage(data),
        *doctor_parts.parts(data, is_served=doctor_data.lock_holder(data) is not None),
    ]
    if settings.follow or settings.sources:
        findings += [*doctor_data.followed(settings), doctor_data.file_events()]
    return findings


def _network(settings: Settings) -> list[Finding]:
    is_served = doctor_data.lock_holder(settings.data.expanduser().absolute()) is not None
    findings = [doctor_server.port(address, is_served) for address in settings.listen]
    findings += doctor_access.access(settings)
    if settings.tls_cert or settings.tls_key:
        findings.append(doctor_server.certificate(settings.tls_cert, settings.tls_key))
    return findings


def _show(finding: Finding) -> None:
    typer.secho(f"{finding.verdict:5}", fg=_COLOURS[finding.verdict], nl=False)
    typer.echo(f"{finding.name:{_NAME_WIDTH}}{finding.says}")
    if finding.advice:
        typer.echo(f"{'':5}{'':{_NAME_WIDTH}}-> {finding.advice}")
