"""`logriver doctor`: who needs no token, and whether a proxy on this machine brings strangers to where nobody does."""

import os
import pwd
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from logriver.auth.request_origin import is_loopback
from logriver.cli.doctor.finding import Finding, fail, ok, warn
from logriver.errors import SettingsError
from logriver.ingest.listen import loopback_ports, trusts_loopback
from logriver.settings import Settings

_ADVICE = (
    "who comes by a proxy can look like this machine: let it use --listen unix:/run/logriver/http.sock, or set "
    "LOGRIVER_TOKEN; see docs/how-to/security.md"
)
# Where the usual packages keep the configuration of programs that pass requests on.
_CONFIGURATIONS = tuple(
    Path(prefix, name)
    for prefix in ("/etc", "/usr/local/etc", "/usr/local", "/opt")
    for name in (
        *("nginx", "openresty", "apache2", "httpd", "haproxy", "caddy", "traefik", "envoy", "lighttpd", "varnish"),
        *("squid", "cloudflared", "pound", "hitch", "stunnel", "tinyproxy", "kong"),
    )
)
# The users that they run as.
_PROXY_USERS = frozenset(
    (
        *("www-data", "www", "nginx", "apache", "httpd", "http", "wwwrun", "nobody", "haproxy", "caddy", "traefik"),
        *("envoy", "lighttpd", "varnish", "vcache", "squid", "proxy", "cloudflared", "stunnel4", "tinyproxy", "kong"),
    )
)
_CONNECTIONS = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_ESTABLISHED = "01"
_MAX_FILES = 2_000
_MAX_FILE_BYTES = 1_000_000
_SHOWN = 3
_LEAST_TOKEN_LENGTH = 16


def access(settings: Settings) -> list[Finding]:
    """Whether callers on this machine need the token, and what there is that makes them others."""
    name = "access"
    try:
        trusted = trusts_loopback(settings)
        ports = loopback_ports(settings.listen)
    except SettingsError as error:
        return [fail(name, error.message, error.hint or "")]
    findings = []
    token = settings.token.get_secret_value()
    if 0 < len(token) < _LEAST_TOKEN_LENGTH:
        advice = "anything from 16 random characters on cannot be guessed: openssl rand -hex 16"
        findings.append(warn("token", f"it has {len(token)} characters", advice))
    if not trusted:
        return [*findings, ok(name, "every caller needs the token")]
    says = "callers on this machine need no token"
    signs = [*_configured(ports), *_connected(ports)]
    if signs:
        others = f", and {len(signs) - _SHOWN} more" if len(signs) > _SHOWN else ""
        return [*findings, warn(name, f"{says}, and {'; '.join(signs[:_SHOWN])}{others}", _ADVICE)]
    return [*findings, ok(name, f"{says}, all others do; no proxy was found that passes requests on")]


def _configured(ports: Sequence[int]) -> Iterator[str]:
    """The lines of proxies' configuration that name one of `ports` of this machine."""
    numbers = "|".join(map(str, ports))
    target = re.compile(rf"(?<![\w.-])(?:127\.\d+\.\d+\.\d+|localhost|\[::1\]):(?:{numbers})(?!\d)")
    for file in _files():
        try:
            lines = file.read_bytes()[:_MAX_FILE_BYTES].decode(errors="replace").splitlines() if ports else []
        except OSError:
            # Not for this user to read; the connections below may show what it does.
            continue
        for number, line in enumerate(lines, 1):
            if target.search(line.partition("#")[0]):
                yield f"'{file}' line {number} passes requests on to it"


def _files() -> list[Path]:
    found: list[Path] = []
    for directory in _CONFIGURATIONS:
        for folder, _, names in os.walk(directory):
            found += (Path(folder, name) for name in names)
            if len(found) >= _MAX_FILES:
                return found[:_MAX_FILES]
    return found


def _connected(ports: Sequence[int]) -> Iterator[str]:
    """The users that proxies run as and that have a connection open to one of `ports`."""
    users: set[tuple[str, int]] = set()
    for table in _CONNECTIONS:
        try:
            lines = table.read_text().splitlines()[1:]
        except OSError:
            continue
        for fields in map(str.split, lines):
            port = int(fields[2].rpartition(":")[2], 16)
            if fields[3] == _ESTABLISHED and port in ports:
                users.add((_name_of(int(fields[7])), port))
    return (f"user {name!r} is connected to port {port}" for name, port in sorted(users) if name in _PROXY_USERS)


def _name_of(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)


def without_token(address: str, host: str, status: int) -> Finding:
    """What it means that a server at `address` answered with `status` to a caller who showed no token."""
    name = "server access"
    if status != 200:
        return ok(name, f"{address} needs the token")
    if is_loopback("127.0.0.1" if host == "localhost" else host):
        return ok(name, f"{address} needs no token from this machine")
    advice = f"whoever reaches that address can read and send: {_ADVICE}"
    return fail(name, f"{address} answers without a token", advice)
