"""The command line: one file a command, each with a function `run`.

A command's module is imported when that command is called, so `logriver --version` and `--help` stay fast and the base
package works without the engine.
"""

import importlib
import os
import shlex
import sys
from itertools import pairwise
from typing import Annotated, Any

import typer
from typer.core import TyperCommand
from typer.exceptions import TyperException

from logriver import __version__

COMMANDS = {
    "serve": "Run the server: receive, follow, store and search logs.",
    "agent": "Follow this machine's log files into a server on another.",
    "send": "Send lines or JSON from a file or a pipe to a server.",
    "search": "Search a server's logs.",
    "tail": "Show a server's newest logs and what arrives.",
    "files": "List and search log files where they lie.",
    "sql": "Ask a server by SQL.",
    "generate": "Make log lines, into a file or a server.",
    "doctor": "Check this machine: will a server run here as it promises?",
    "sources": "Followed files: what is committed of each, what is missing.",
    "verify": "Prove line by line that a followed file is committed.",
    "dead-letters": "What a server took and could not store: show it, try again.",
    "demo": "Show the whole flow on this machine, with a generator and fresh data.",
}
_WITH_SEARCH_TEXT = ("search", "tail")


class _Searching(TyperCommand):
    """A command whose search text may look like options; if so it says where that stands."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        given = list(args)
        try:
            return super().parse_args(ctx, args)
        except TyperException as error:
            text = _like_options(given, getattr(error, "option_name", ""))
            if text:
                command = f"{ctx.command_path} -- {shlex.quote(text)}"
                error.message += f"\nA text that begins with a minus goes behind --: {command}"
            raise


def _like_options(given: list[str], unknown: str) -> str:
    """The argument that begins with the unknown short option and goes on; empty if there is none."""
    if unknown[:2] in ("", "--"):
        return ""
    # What stands behind a long option is its value, which may be a secret.
    texts = (text for before, text in pairwise(["", *given]) if not before.startswith("--"))
    return next((text for text in texts if text.startswith(unknown) and text != unknown), "")


def main() -> None:
    """The entry point of `logriver` and of `python -m logriver`."""
    _command_line(sys.argv[1:])(prog_name="logriver")


def _command_line(arguments: list[str]) -> typer.Typer:
    """Every command by name and summary, with options only for the one that `arguments` begin with."""
    app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
    app.callback(help="A log platform in one process.")(_options)
    # A shell that completes words names no command in the arguments and needs the options of all.
    wanted = list(COMMANDS) if "_LOGRIVER_COMPLETE" in os.environ else arguments[:1]
    for name, summary in COMMANDS.items():
        run = (
            importlib.import_module(f"logriver.cli.commands.{name.replace('-', '_')}").run
            if name in wanted
            else _only_listed
        )
        app.command(name, help=summary, cls=_Searching if name in _WITH_SEARCH_TEXT else None)(run)
    return app


def _only_listed() -> None:
    """Stands for a command in the list of `--help`; a command that is called is always loaded."""


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"logriver {__version__}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """The options that come before a command."""
