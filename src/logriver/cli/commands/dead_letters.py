"""`logriver dead-letters`: what a server took and could not store, and trying it again."""

from collections.abc import Iterator
from typing import Annotated, Literal
from urllib.parse import quote

import httpx
import msgspec
import typer

from logriver.cli.client import LOCAL_SERVER, ServerOption, TokenOption, ask, connect, error_of, no_answer
from logriver.cli.render import output
from logriver.cli.render.output import visible
from logriver.errors import LogriverError, Unavailable

_PAGE = 100
_SHOWN_CHARACTERS = 200


class _DeadLetter(msgspec.Struct):
    id: str
    reason: str
    source: str
    received: str
    raw: str


class _Page(msgspec.Struct):
    dead_letters: list[_DeadLetter]
    cursor: str | None = None


def run(
    action: Annotated[Literal["ls", "replay"], typer.Argument(help="show them, or store them now")] = "ls",
    id: Annotated[str, typer.Argument(help="which one to replay")] = "",
    every: Annotated[bool, typer.Option("--all", help="replay every one, as it is")] = False,
    record: Annotated[str, typer.Option(help="the corrected record to store in its place")] = "",
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="how many to show, the newest")] = 100,
    server: ServerOption = LOCAL_SERVER,
    token: TokenOption = "",
) -> None:
    """Exit codes: 0 done, 1 a dead letter failed again, 2 an error."""
    if action == "replay" and bool(id) == every:
        raise typer.BadParameter("replay takes the id of a dead letter, or --all")
    if record and not id:
        raise typer.BadParameter("--record is for one dead letter")
    try:
        with connect(server, token=token) as client:
            if action == "ls":
                _list(client, limit)
            elif every:
                _replay_all(client)
            else:
                _replay_one(client, id, record)
    except LogriverError as error:
        output.fail(error.message, hint=error.hint, code=2)


def _list(client: httpx.Client, limit: int) -> None:
    shown = 0
    for dead_letter in _dead_letters(client):
        if shown == limit:
            return
        shown += 1
        typer.echo(f"{dead_letter.id}  {dead_letter.received}  {visible(dead_letter.source)}")
        typer.echo(f"    {visible(dead_letter.reason)}")
        more = ".." * (len(dead_letter.raw) > _SHOWN_CHARACTERS)
        typer.echo(f"    {visible(dead_letter.raw[:_SHOWN_CHARACTERS])}{more}")
    if not shown:
        typer.echo("no dead letters", err=True)


def _replay_one(client: httpx.Client, id: str, record: str) -> None:
    problem = _replay(client, id, record)
    if problem:
        output.fail(problem)
    typer.echo(f"{id} stored")


def _replay_all(client: httpx.Client) -> None:
    stored = failed = 0
    # All are listed first: one that is replayed is no longer there to go on from.
    for dead_letter in list(_dead_letters(client)):
        problem = _replay(client, dead_letter.id, "")
        if problem:
            failed += 1
            typer.echo(f"{dead_letter.id}: {problem}", err=True)
        else:
            stored += 1
    typer.echo(f"{stored} stored, {failed} failed again")
    if failed:
        raise typer.Exit(1)


def _dead_letters(client: httpx.Client) -> Iterator[_DeadLetter]:
    params = {"limit": str(_PAGE)}
    while True:
        page = ask(client, "/api/v1/dead-letters", _Page, params=params)
        yield from page.dead_letters
        if not page.cursor:
            return
        params["cursor"] = page.cursor


def _replay(client: httpx.Client, id: str, record: str) -> str:
    """Replay one; why it failed again, empty if it is stored. Raises `Unavailable` where that says nothing of it."""
    try:
        answer = client.post(f"/api/v1/dead-letters/{quote(id, safe='')}/replay", content=record.encode())
    except httpx.TransportError as error:
        raise no_answer(client, error) from None
    if answer.is_success:
        return ""
    detail = error_of(answer)
    if answer.status_code in (404, 422):
        return detail.message
    raise Unavailable(detail.message, hint=detail.hint)
