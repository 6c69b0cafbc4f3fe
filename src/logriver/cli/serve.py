"""`logriver serve`: the server, until SIGTERM or Ctrl-C."""

import logging
from pathlib import Path
from typing import Annotated, Any

import typer

from logriver.cli import output
from logriver.errors import LogriverError, SettingsError
from logriver.settings import Settings, load
from logriver.telemetry import own_log


def _option(name: str) -> Any:
    """The flag of a setting, with the setting's own description as its help."""
    field = Settings.model_fields[name]
    return typer.Option(f"--{name.replace('_', '-')}", help=field.description, show_default=str(field.get_default()))


def run(
    listen: Annotated[str | None, _option("listen")] = None,
    data: Annotated[
        Path | None,
        typer.Option(help=Settings.model_fields["data"].description, show_default="~/.local/share/logriver"),
    ] = None,
    follow: Annotated[
        list[str] | None,
        typer.Option(help=Settings.model_fields["follow"].description, metavar="[FORMAT=]PATH"),
    ] = None,
    from_end: Annotated[
        bool | None, typer.Option("--from-end", help=Settings.model_fields["from_end"].description)
    ] = None,
    name: Annotated[str | None, typer.Option(help=Settings.model_fields["name"].description)] = None,
    log_file: Annotated[Path | None, typer.Option(help=Settings.model_fields["log_file"].description)] = None,
    config: Annotated[Path | None, typer.Option(help=Settings.model_fields["config"].description)] = None,
) -> None:
    """Exit codes: 0 stopped in order, 1 cannot run on this data directory or address, 2 a wrong setting."""
    flags = {
        "listen": listen,
        "data": data,
        "follow": follow or None,
        "from_end": from_end,
        "name": name,
        "log_file": log_file,
        "config": config,
    }
    try:
        settings = load(**flags)
        own_log.setup(settings.log_file)
        logging.getLogger("logriver.serve").info("starting", extra={"fields": {"data": str(settings.data.resolve())}})
        _serve(settings)
    except SettingsError as error:
        output.fail(error.message, code=2)
    except LogriverError as error:
        output.fail(error.message, hint=error.hint)
    except OSError as error:
        output.fail(f"the server cannot run: {error}")


def _serve(settings: Settings) -> None:
    try:
        # The engine comes with the extra `server`; every other command works without it.
        from logriver import server
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("logriver"):
            raise
        output.fail(f"the server needs {error.name!r}", hint="pip install 'logriver[server]'")
    server.run(settings)
