"""`logriver agent`: follow files of this machine into a server, until SIGTERM or Ctrl-C."""

import logging
from pathlib import Path
from typing import Annotated, Any

import typer

from logriver import agent
from logriver.cli.paths import followed
from logriver.cli.render import output
from logriver.errors import BadRequest, SettingsError
from logriver.settings import AgentSettings, load_as
from logriver.telemetry import internal_log


def _option(name: str, metavar: str | None = None, default: str | bool = False) -> Any:
    """The flag of a setting, with the setting's own description as its help; `default` is how that is shown."""
    text = AgentSettings.model_fields[name].description
    return typer.Option(f"--{name.replace('_', '-')}", help=text, metavar=metavar, show_default=default)


def run(
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="[[FORMAT][@ZONE]=]PATH...", help="what to follow", show_default=False),
    ] = None,
    server: Annotated[str | None, _option("server", "URL", "http://127.0.0.1:3000")] = None,
    name: Annotated[str | None, _option("name")] = None,
    token: Annotated[str | None, _option("token")] = None,
    files_root: Annotated[list[str] | None, _option("files_root", "DIR", "/var/log")] = None,
    from_end: Annotated[bool | None, _option("from_end")] = None,
    log_file: Annotated[Path | None, _option("log_file")] = None,
    internal_logs: Annotated[bool | None, _option("internal_logs")] = None,
    config: Annotated[Path | None, _option("config")] = None,
) -> None:
    """Exit codes: 0 stopped in order, 2 a wrong setting."""
    flags = {
        "follow": followed(paths),
        "server": server,
        "name": name,
        "token": token,
        "files_root": followed(files_root),
        "from_end": from_end,
        "log_file": log_file,
        "internal_logs": internal_logs,
        "config": config,
    }
    try:
        settings = load_as(AgentSettings, flags)
        internal_log.setup(settings.log_file)
        logging.getLogger("logriver.agent").info("starting", extra={"fields": {"server": settings.server}})
        agent.run(settings)
    except (SettingsError, BadRequest) as error:
        output.fail(error.message, hint=error.hint, code=2)
