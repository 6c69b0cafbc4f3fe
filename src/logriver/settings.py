"""Every setting, declared once with unit and help: flag > environment `LOGRIVER_*` > config file > default.

The commands take their help texts from here, `docs/reference/settings.md` is checked against it.
"""

import contextlib
import difflib
import json
import os
import re
import socket
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
)
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from logriver.errors import SettingsError

ENV_PREFIX = "LOGRIVER_"
MB = 1_000_000
LEAST_MEMORY_BYTES = 400 * MB
"""With half of it the engine cannot take a block of the usual size, and nothing is stored."""

_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400, "y": 365 * 86_400}
_UNIT_BYTES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_UNIT_BYTES |= {f"{unit}i": 1024**power for power, unit in enumerate("kmgt", 1)}
_DURATION = re.compile(r"(\d{1,9})([smhdwy])", re.ASCII)
_SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,9})?)\s*([kmgt]?i?)b?", re.ASCII | re.IGNORECASE)
_PERCENT = re.compile(r"(\d{1,3}(?:\.\d{1,9})?)\s*%", re.ASCII)
FOREVER = "forever"


def default_data() -> Path:
    """`$XDG_DATA_HOME/logriver`, by default `~/.local/share/logriver`."""
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "logriver"


def _also(name: str, environment: str) -> AliasChoices:
    """The setting's own names and a variable that users of an earlier stream processor have set."""
    return AliasChoices(name, f"{ENV_PREFIX}{name}".upper(), environment)


def _one_or_more(given: object) -> object:
    """A list, also where one text stands for itself; an environment variable may have either."""
    if not isinstance(given, str):
        return given
    with contextlib.suppress(json.JSONDecodeError):
        decoded = json.loads(given)
        return decoded if isinstance(decoded, list) else [given]
    return [given] if given else []


OneOrMore = Annotated[list[str], NoDecode, BeforeValidator(_one_or_more)]


class SourceTable(BaseModel):
    """One `[[sources]]` of the config file: `PATH` of `follow`, and how its lines become records."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str = Field(min_length=1, description="a file, a glob, a directory, `journal:` or `journal:UNIT`")
    format: str = Field("", description="one of the formats, or a name from `[formats]`; recognised when empty")
    zone: str = Field("", description="time zone of times that name none; the machine's when empty")
    multiline: Literal["", "indent"] = Field("", description="`indent`: lines that go on belong to the one before")
    multiline_start: str = Field("", description="regular expression; a line that does not match goes on")
    labels: dict[str, str] = Field({}, description="fields that each record gets which does not have them")
    include: list[str] = Field([], description="of the files found, only those that one of these patterns fits")
    exclude: list[str] = Field([], description="none of the files that one of these patterns fits")


class FollowSettings(BaseSettings):
    """What every machine with log files can be told, a server and an agent alike."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, extra="forbid", frozen=True, populate_by_name=True)

    follow: list[str] = Field([], description="follow a growing file: [[FORMAT][@ZONE]=]PATH")
    sources: list[SourceTable] = Field([], description="more to follow, each with settings of its own")
    formats: dict[str, str] = Field({}, description="formats by name: a regular expression with named groups")
    from_end: bool = Field(False, description="start at the end of followed files that were never seen")
    name: str = Field("", description="name as a follower of files; the host name when empty")
    max_record_bytes: int = Field(2 * MB, gt=0, description="largest single record")
    internal_logs: bool = Field(
        False, description="keep the internal log in the store too, found and counted like any other"
    )
    files_root: OneOrMore = Field(["/var/log"], description="directory below which files may be read where they lie")
    max_file_reads: int = Field(8, gt=0, le=64, description="files being read where they lie at one time")
    config: Path | None = Field(None, description="config file (TOML), its keys are these names")

    @property
    def follower_name(self) -> str:
        """The name that the ledger knows this follower's files under."""
        return self.name or socket.gethostname()

    @property
    def machine(self) -> str:
        """The host of records from files that name none. Of a server's own files it is empty: there is but one."""
        return ""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags, then environment, then the config file that one of those names. Raises `SettingsError` without it."""
        named = init_settings().get("config") or os.environ.get(f"{ENV_PREFIX}CONFIG")
        if not named:
            return init_settings, env_settings
        file = Path(named).expanduser()
        # The source passes over what is no file, and a server would run with other settings than it was given.
        if not file.is_file():
            raise SettingsError(f"config file {str(file)[:200]!r} {'is no file' if file.exists() else 'is not there'}")
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, file)


class Settings(FollowSettings):
    """The server's settings. Sizes are bytes, times are seconds."""

    listen: OneOrMore = Field(
        ["127.0.0.1:3000"], description="address and port for everything, or `unix:/path`; several are possible"
    )
    token: SecretStr = Field(SecretStr(""), description="what callers have to show; made at the first start when empty")
    trust_loopback: bool | None = Field(
        None,
        description="callers on this machine need no token; by default where every listener is loopback or a Unix "
        "socket and no token was set",
    )
    cors_origin: OneOrMore = Field([], description="origin whose pages may use this server, such as https://a.example")
    tls_cert: Path | None = Field(None, description="certificate chain (PEM); with it all ports speak TLS")
    tls_key: Path | None = Field(None, description="private key of the certificate (PEM)")
    data: Path = Field(default_factory=default_data, description="data directory")
    log_file: Path | None = Field(None, description="write the internal log here instead of stderr")
    promote: list[str] = Field([], description="fields that get a column of their own, at most 8")

    retention: str = Field("30d", description=f"records received longer ago are removed: 30d, 12h, or {FOREVER}")
    max_disk: str = Field(
        "80%", description="disk Logriver may use: a size (10GB) or a share of what it has and is free"
    )
    partition_bytes: int = Field(
        0,
        ge=0,
        description="size of the partitions that are removed as a whole; 0 is a 32nd of max_disk, at least 16 MB",
    )

    max_body_bytes: int = Field(64 * MB, gt=0, description="largest body, inflated")
    max_inflight_bytes: int = Field(128 * MB, gt=0, description="bodies being received at one time")
    body_timeout: float = Field(30.0, gt=0, description="a body of which nothing more comes for so long is refused")
    max_backlog_bytes: int = Field(2_000 * MB, gt=0, description="log waiting to be stored; beyond it answers are 429")
    max_dead_letter_bytes: int = Field(100 * MB, gt=0, description="dead letters kept; beyond it the oldest go")
    max_memory_bytes: int = Field(
        0, ge=0, description="the engine's memory, at least 400 MB; 0 is a share of what there is"
    )
    segment_bytes: int = Field(64 * MB, gt=0, description="size at which a segment of the log is sealed")

    workers: int = Field(
        2, gt=0, le=16, validation_alias=_also("workers", "WORKERS"), description="writers to the store at one time"
    )
    block_records: int = Field(
        100_000,
        gt=0,
        validation_alias=_also("block_records", "STREAM_MAX_SIZE"),
        description="hand a block to the store after so many records",
    )
    block_seconds: float = Field(
        1.0,
        gt=0,
        validation_alias=_also("block_seconds", "STREAM_MAX_WAIT_TIME_IN_SECONDS"),
        description="hand a block to the store after so long; where little comes, every quarter of it, or half",
    )
    block_bytes: int = Field(32 * MB, gt=0, description="hand a block to the store after so many bytes")
    query_timeout: float = Field(30.0, gt=0, description="longest time for one query")
    max_queries: int = Field(8, gt=0, description="queries running at one time")
    max_query_memory_bytes: int = Field(0, ge=0, description="memory of one query; 0 is a quarter of the engine's")
    max_exports: int = Field(2, gt=0, description="exports running at one time")
    export_idle: float = Field(60.0, gt=0, description="an export whose client takes nothing for so long is cut off")
    max_tails: int = Field(100, gt=0, description="live tails at one time")

    @field_validator("max_memory_bytes")
    @classmethod
    def _enough_memory(cls, size: int) -> int:
        if 0 < size < LEAST_MEMORY_BYTES:
            raise ValueError(f"expected 0 or at least {LEAST_MEMORY_BYTES} bytes")
        return size

    @field_validator("retention")
    @classmethod
    def _readable_retention(cls, text: str) -> str:
        if text != FOREVER and not (_DURATION.fullmatch(text) and int(text[:-1])):
            raise ValueError(f"expected a number and one of {' '.join(_UNIT_SECONDS)}, or {FOREVER}")
        return text

    @field_validator("max_disk")
    @classmethod
    def _readable_max_disk(cls, text: str) -> str:
        percent, size = _PERCENT.fullmatch(text), _SIZE.fullmatch(text)
        if not (percent and 0 < float(percent[1]) <= 100) and not (size and float(size[1]) > 0 and size[2] != "i"):
            raise ValueError("expected a size like 10GB or a share like 80%")
        return text

    @property
    def retention_seconds(self) -> int | None:
        """How long records are kept, None for ever."""
        return None if self.retention == FOREVER else int(self.retention[:-1]) * _UNIT_SECONDS[self.retention[-1]]

    def max_disk_bytes(self, total_bytes: int) -> int:
        """What Logriver may use, where `total_bytes` is what it has and what is free."""
        if percent := _PERCENT.fullmatch(self.max_disk):
            return int(total_bytes * float(percent[1]) / 100)
        size = _SIZE.fullmatch(self.max_disk)
        assert size is not None, "validated when it was set"
        return int(float(size[1]) * _UNIT_BYTES[size[2].lower()])


class AgentSettings(FollowSettings):
    """An agent's settings."""

    server: str = Field("http://127.0.0.1:3000", description="address of the server that gets the lines")
    token: SecretStr = Field(SecretStr(""), description="the server's token, where it needs one")
    log_file: Path | None = Field(None, description="write the internal log here instead of stderr")

    @property
    def machine(self) -> str:
        """See `FollowSettings.machine`: of many agents' files each says whose it is."""
        return self.follower_name


_Kind = TypeVar("_Kind", bound=FollowSettings)


def load(**flags: Any) -> Settings:
    """The server's settings, given the flags that were used (None is not used). Raises as `load_as` does."""
    return load_as(Settings, flags)


def load_as(kind: type[_Kind], flags: dict[str, Any]) -> _Kind:
    """The settings of that kind, given the flags that were used (None is not used).

    Raises `SettingsError` for a value that cannot be used and for an unknown key, naming the nearest known one.
    """
    _check_environment(kind)
    try:
        return kind(**{name: value for name, value in flags.items() if value is not None})
    except ValidationError as error:
        raise SettingsError("; ".join(_sentence(dict(problem), kind) for problem in error.errors())) from None
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"config file cannot be read: {error}") from None


# Variables with our prefix that are not settings of the server.
_OTHER_VARIABLES = {"SERVER", "CHECK_OWNERS"}
# Never shown, not even where they are wrong.
_SECRET = {"token"}


def _check_environment(kind: type[FollowSettings]) -> None:
    """A variable of the server's is none of an agent's, and may be set beside it all the same."""
    known = {*kind.model_fields, *Settings.model_fields}
    for variable in os.environ:
        name = variable.removeprefix(ENV_PREFIX)
        if name != variable and name not in _OTHER_VARIABLES and name.lower() not in known:
            raise SettingsError(f"unknown environment variable {variable!r}{_nearest(name, known)}")


def _sentence(problem: dict[str, Any], kind: type[FollowSettings]) -> str:
    location = problem["loc"]
    name = ".".join(str(part) for part in location)
    if problem["type"] == "extra_forbidden":
        known = SourceTable.model_fields if len(location) > 1 else kind.model_fields
        return f"unknown setting {name!r}{_nearest(str(location[-1]), known)}"
    message = problem["msg"].removeprefix("Value error, ")
    message = f"setting {name!r}: {message[:1].lower()}{message[1:]}"
    return message if name in _SECRET else f"{message}, got {str(problem['input'])[:60]!r}"


def _nearest(name: str, known: Iterable[str]) -> str:
    """`, did you mean 'x'?` for a name that is close to a known one, else an empty string."""
    close = difflib.get_close_matches(name.lower(), known, n=1)
    return f", did you mean {close[0]!r}?" if close else ""
