"""`logriver serve`: the server, until SIGTERM or Ctrl-C."""

import logging
from pathlib import Path
from typing import Annotated, Any

import typer

from logriver.cli.paths import followed
from logriver.cli.render import output
from logriver.errors import LogriverError, SettingsError
from logriver.settings import Settings, load
from logriver.telemetry import internal_log


def _option(name: str, metavar: str | None = None, default: str | bool = False) -> Any:
    """The flag of a setting, with the setting's own description as its help; `default` is how that is shown."""
    text = Settings.model_fields[name].description
    return typer.Option(f"--{name.replace('_', '-')}", help=text, metavar=metavar, show_default=default)


def run(
    listen: Annotated[list[str] | None, _option("listen", "ADDRESS:PORT", "127.0.0.1:3000")] = None,
    data: Annotated[Path | None, _option("data", None, "~/.local/share/logriver")] = None,
    follow: Annotated[list[str] | None, _option("follow", "[[FORMAT][@ZONE]=]PATH")] = None,
    from_end: Annotated[bool | None, _option("from_end")] = None,
    name: Annotated[str | None, _option("name")] = None,
    files_root: Annotated[list[str] | None, _option("files_root", "DIR", "/var/log")] = None,
    retention: Annotated[str | None, _option("retention", None, "30d")] = None,
    max_disk: Annotated[str | None, _option("max_disk", None, "80%")] = None,
    cors_origin: Annotated[list[str] | None, _option("cors_origin", "URL")] = None,
    tls_cert: Annotated[Path | None, _option("tls_cert")] = None,
    tls_key: Annotated[Path | None, _option("tls_key")] = None,
    log_file: Annotated[Path | None, _option("log_file")] = None,
    internal_logs: Annotated[bool | None, _option("internal_logs")] = None,
    config: Annotated[Path | None, _option("config")] = None,
) -> None:
    """Exit codes: 0 stopped in order, 1 cannot run on this data directory or address, 2 a wrong setting."""
    flags = {
        "listen": listen or None,
        "data": data,
        "follow": followed(follow),
        "from_end": from_end,
        "name": name,
        "files_root": followed(files_root),
        "retention": retention,
        "max_disk": max_disk,
        "cors_origin": cors_origin or None,
        "tls_cert": tls_cert,
        "tls_key": tls_key,
        "log_file": log_file,
        "internal_logs": internal_logs,
        "config": config,
    }
    try:
        settings = load(**flags)
        internal_log.setup(settings.log_file)
        logging.getLogger("logriver.serve").info("starting", extra={"fields": {"data": str(settings.data.resolve())}})
        _serve(settings)
    except SettingsError as error:
        output.fail(error.message, hint=error.hint, code=2)
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
