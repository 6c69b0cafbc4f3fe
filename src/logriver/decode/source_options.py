"""What the settings say of a source, as the options of its decoder."""

from collections.abc import Collection, Mapping
from dataclasses import replace

from logriver.decode.decoder import Options
from logriver.decode.formats import CONTAINERS, FORMATS
from logriver.decode.labels import Labels
from logriver.decode.lines.multiline import ByPattern
from logriver.decode.lines.user_format import UserFormat
from logriver.decode.time import zones
from logriver.errors import SettingsError
from logriver.settings import SourceTable


def checked_formats(patterns: Mapping[str, str]) -> Mapping[str, str]:
    """The user's formats, by name. Raises `SettingsError`."""
    taken = next((name for name in patterns if name in FORMATS or not name.isidentifier()), None)
    if taken is not None:
        raise SettingsError(f"a format cannot be called {taken[:60]!r}", hint="a word that is no format's name yet")
    for name, pattern in patterns.items():
        UserFormat(name, pattern)
    return patterns


def options_of(table: SourceTable, patterns: Mapping[str, str], of_all: Options) -> Options:
    """What a table of the settings says, beside what is said of all sources. Raises `SettingsError`."""
    name = table.format
    known: Collection[str] = (*FORMATS, *patterns)
    if name and name not in known:
        raise SettingsError(f"unknown format {name[:60]!r}", hint=f"formats are {', '.join(known)}")
    try:
        zones.zone(table.zone)
    except ValueError as error:
        raise SettingsError(str(error), hint="a zone is UTC, +02:00 or like Europe/Paris") from None
    _check_multiline(table)
    pattern = patterns.get(name, "")
    if (table.multiline or table.multiline_start) and name and not (pattern or name == "text" or name in CONTAINERS):
        raise SettingsError(f"a record of format {name!r} has one line", hint=f"in the source {table.path[:60]!r}")
    Labels(table.labels)
    return replace(
        of_all,
        format=name,
        pattern=pattern,
        zone=table.zone or of_all.zone,
        multiline=table.multiline,
        multiline_start=table.multiline_start,
        labels=tuple(table.labels.items()),
    )


def _check_multiline(table: SourceTable) -> None:
    if table.multiline and table.multiline_start:
        raise SettingsError(f"multiline and multiline_start are both set for {table.path[:60]!r}", hint="one of them")
    if table.multiline_start:
        ByPattern(table.multiline_start)
