"""`logriver verify`: reads a followed file again and proves line by line that a server holds it."""

import base64
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import httpx
import msgspec
import typer
from pydantic_settings import SettingsConfigDict

from logriver import clock
from logriver.cli.client import LOCAL_SERVER, ServerOption, TokenOption, ask, connect
from logriver.cli.render import output
from logriver.cli.render.progress import Progress
from logriver.cli.source_answers import SourceRecords, all_sources
from logriver.cli.verify.file import chunks, incarnation_of, open_file
from logriver.cli.verify.lines import Judge, SourceDeadLetters, Tally
from logriver.columns import DECODED_COLUMNS, ROW_COLUMNS
from logriver.decode.decoder import Options, State
from logriver.decode.formats import FORMATS, SourceText, split_source
from logriver.decode.reference import ReferenceDecoder
from logriver.decode.source_options import checked_formats
from logriver.errors import LogriverError
from logriver.follow.growing_file import Chunk, GrowingFile, NotTheSame
from logriver.follow.line_format import LineFormat
from logriver.follow.paths import path_patterns
from logriver.path_text import path_of, spelled, text_of
from logriver.record import Decoded
from logriver.settings import FollowSettings, load_as

_LETTERS = "1000"
_OFFSET = [column.name for column in DECODED_COLUMNS].index("_offset")
_SOURCE = [column.name for column in ROW_COLUMNS].index("_source")


class _Settings(FollowSettings):
    """How lines are read, out of the settings of a server or an agent; what else these have is passed over."""

    model_config = SettingsConfigDict(extra="ignore")


class _Status(msgspec.Struct):
    removed_by_retention: int


class _DeadLetter(msgspec.Struct):
    source: str
    raw: str
    raw_base64: str = ""


class _DeadLetters(msgspec.Struct):
    dead_letters: list[_DeadLetter]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What was found. `removed` of the missing lines were removed by retention, as far as anybody can tell."""

    source: str
    follower: str
    incarnation: str
    committed_bytes: int
    not_yet_committed_bytes: int
    tally: Tally
    removed: int

    @property
    def missing(self) -> int:
        """Lines for which there is no explanation."""
        return self.tally.missing - self.removed

    @property
    def proven(self) -> bool:
        """Whether every line that should be there is, once, as it is in the file."""
        tally = self.tally
        return not (self.missing or tally.different or tally.doubled or tally.refused_gone)


def run(
    source: Annotated[str, typer.Argument(metavar="[[FORMAT][@ZONE]=]SOURCE", help="the path as the records have it")],
    file: Annotated[
        Path | None, typer.Argument(help="where it is now, also as .gz or .zst; without it it is SOURCE")
    ] = None,
    follower: Annotated[str, typer.Option(help="only what the follower of this name holds")] = "",
    config: Annotated[Path | None, typer.Option(help="the config file of the follower, for how it reads lines")] = None,
    format: Annotated[Literal["text", "json"], typer.Option("--output", "-o", help="how to print")] = "text",
    server: ServerOption = LOCAL_SERVER,
    token: TokenOption = "",
) -> None:
    """Exit codes: 0 proven, 1 not, 2 an error."""
    shown = text_of(str(file or source))
    try:
        settings = load_as(_Settings, {"config": config})
        text = split_source(spelled(source), (*FORMATS, *settings.formats))
        if file is None:
            file = Path(path_of(text.path)).expanduser().absolute()
            text = text._replace(path=text_of(str(file)))
        with connect(server, token=token) as client:
            verdict = _verify(client, text, file.resolve(), follower, settings)
    except LogriverError as error:
        output.fail(error.message, hint=error.hint, code=2 if error.code != "not_found" else 1)
    except NotTheSame as change:
        output.fail(f"'{shown}' changed while it was read: {change}", hint="try again", code=2)
    except OSError as error:
        output.fail(f"'{shown}' cannot be read: {error}", code=2)
    _show(verdict, format)
    if not verdict.proven:
        raise typer.Exit(1)


def _verify(client: httpx.Client, text: SourceText, path: Path, follower: str, settings: _Settings) -> _Verdict:
    sources = [one for one in all_sources(client, source=text.path) if follower in ("", one.follower)]
    with closing(open_file(path, settings.max_record_bytes)) as file:
        source, incarnation = incarnation_of(file, sources)
        options = _options(text, source.format, settings)
        # What an agent sent has its name where the line names no host.
        ways = [LineFormat(way, ReferenceDecoder()) for way in (options, replace(options, host=source.follower))]
        others = [one for other in sources for one in other.incarnations if one.id != incarnation.id]
        judge = Judge(
            [partial(_decoded, way, file) for way in ways],
            _Once(client, text.path),
            now_ns=clock.now_ns(),
            left_out_end=max([gap.offset + gap.bytes for gap in incarnation.gaps if not gap.lost], default=0),
            other_ends=[one.committed_bytes for one in others],
        )
        with closing(SourceRecords(client, text.path, incarnation.committed_bytes)) as records:
            _judge(judge, records, chunks(file, incarnation.committed_bytes, partial(_whole, ways[0], file)))
        tally, size = judge.tally, file.size()
    removed = ask(client, "/api/v1/status", _Status).removed_by_retention
    return _Verdict(
        text.path,
        source.follower,
        incarnation.id,
        incarnation.committed_bytes,
        size - incarnation.committed_bytes,
        tally,
        min(tally.head_missing, removed),
    )


def _decoded(way: LineFormat, file: GrowingFile, lines: bytes, offset: int, now_ns: int) -> Decoded:
    return way.decode(file, lines, State(now_ns, offset))[0]


def _whole(way: LineFormat, file: GrowingFile, lines: bytes) -> int:
    return way.whole(file, lines, State(clock.now_ns(), None))


def _options(text: SourceText, format: str, settings: _Settings) -> Options:
    """How the lines of a source are read: as the settings do, in the format and zone of its text where that has them.

    Where nothing says the format, it is the server's `format`.
    """
    followed = next((source for source in path_patterns(settings) if source.means(Path(path_of(text.path)))), None)
    options = followed.options if followed else Options(max_record_bytes=settings.max_record_bytes)
    name = text.format or options.format
    if text.format or text.zone or not followed:
        name = name or format
    pattern = checked_formats(settings.formats).get(name, "")
    return replace(options, format=name, zone=text.zone or options.zone, pattern=pattern)


def _judge(judge: Judge, records: SourceRecords, chunks: Iterator[Chunk]) -> None:
    with Progress(result_comes_last=True) as progress:
        for chunk in chunks:
            if chunk.too_long:
                judge.refused(chunk.too_long)
            for lines in progress.of([chunk.lines]):
                judge.lines(lines, chunk.start, records.before(chunk.after.end))
            progress.rows = judge.tally.stored


class _Once:
    """The dead letters of a source, asked for when they are needed first."""

    def __init__(self, client: httpx.Client, source: str) -> None:
        self._client = client
        self._source = source
        self._dead_letters: SourceDeadLetters | None = None

    def __call__(self) -> SourceDeadLetters:
        if self._dead_letters is None:
            self._dead_letters = SourceDeadLetters()
            self._gather(self._dead_letters)
        return self._dead_letters

    def _gather(self, dead_letters: SourceDeadLetters) -> None:
        params = {"limit": _LETTERS}
        while True:
            page = ask(self._client, "/api/v1/dead-letters", _DeadLetters, params=params)
            for dead_letter in page.dead_letters:
                raw = base64.b64decode(dead_letter.raw_base64) if dead_letter.raw_base64 else dead_letter.raw.encode()
                columns = raw.split(b"\t")
                if dead_letter.source == self._source:
                    dead_letters.add_line(raw)
                elif (
                    not dead_letter.source
                    and len(columns) == len(ROW_COLUMNS)
                    and columns[_SOURCE] == self._source.encode()
                ):
                    dead_letters.add_row(int(columns[_OFFSET]))
            if page.cursor is None:
                return
            params["cursor"] = page.cursor


def _show(verdict: _Verdict, format: str) -> None:
    if format == "json":
        content = asdict(verdict) | {"missing": verdict.missing, "proven": verdict.proven}
        sys.stdout.write(msgspec.json.encode(content).decode() + "\n")
        return
    tally = verdict.tally
    lines = [
        f"{verdict.source}, followed by {verdict.follower}, incarnation {verdict.incarnation}",
        f"bytes 0 to {verdict.committed_bytes} are committed: the file has the same, by CRC32C",
        *(
            [f"bytes from there on, {verdict.not_yet_committed_bytes}, are not committed yet"]
            * bool(verdict.not_yet_committed_bytes)
        ),
    ]
    counts = {
        "stored, once and as they are": tally.stored,
        "refused, and kept as dead letters": tally.refused,
        "left out on purpose": tally.left_out,
        "removed by retention": verdict.removed,
        "missing": verdict.missing,
        "doubled": tally.doubled,
        "stored as something else": tally.different,
        "refused, and their dead letters gone": tally.refused_gone,
    }
    lines += [f"{count:>12,} lines {name}" for name, count in counts.items() if count or name.startswith("stored, ")]
    if tally.others:
        lines.append(
            f"{tally.others:>12,} records more: of other incarnations of the path, or of replayed dead letters"
        )
    lines += tally.examples if not verdict.proven else []
    lines.append("proven" if verdict.proven else "not proven")
    for line in lines:
        typer.echo(output.one_line(line))
