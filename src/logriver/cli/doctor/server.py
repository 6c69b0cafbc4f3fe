"""`logriver doctor`: the addresses and the certificate of a server, and one that runs."""

import ipaddress
import os
import socket
import ssl
import time
from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx
import msgspec

from logriver import clock
from logriver.cli.client import connect
from logriver.cli.doctor.access import without_token
from logriver.cli.doctor.finding import Finding, fail, ok, warn
from logriver.errors import BadRequest, SettingsError
from logriver.ingest import unix_socket

_ASK_SECONDS = 5.0
# The header has whole seconds, and the answer was on its way.
_DATE_SECONDS = 2.0
# A server makes it anew once a second, later where it is busy: what is off by that is right when asked again.
_DATE_ASKS = 3
_DATE_AGAIN_SECONDS = 0.3


class _Ready(msgspec.Struct):
    ready: bool
    problems: list[str] = []


def port(listen: str, is_served: bool) -> Finding:
    """Whether the address is free, or who answers there; `is_served` is whether the data directory is in use."""
    name = "port"
    if listen.strip().startswith(unix_socket.PREFIX):
        return _unix_socket(listen, is_served)
    host, _, number = listen.rpartition(":")
    host = host.strip("[]") or "127.0.0.1"
    try:
        _bind(host, int(number))
    except (ValueError, OverflowError, socket.gaierror):
        return fail(name, f"{listen[:60]!r} is not an address and a port", "write it as 127.0.0.1:3000")
    except PermissionError:
        return fail(
            name, f"{listen} needs a privilege", "use a port from 1024 on, or AmbientCapabilities=CAP_NET_BIND_SERVICE"
        )
    except OSError as error:
        if _answers_like_logriver(host, int(number)):
            if is_served:
                return ok(name, f"{listen} is taken by a logriver")
            return fail(name, f"{listen} is taken by a logriver with other data", "choose another with --listen")
        return fail(name, f"{listen} cannot be taken: {error.strerror}", "choose another with --listen")
    return ok(name, f"{listen} is free")


def _unix_socket(listen: str, is_served: bool) -> Finding:
    """Whether a socket can be made there. Nothing is: a listener would be found by whoever connects."""
    name = "port"
    try:
        path = unix_socket.path_of(listen)
    except SettingsError as error:
        return fail(name, error.message, error.hint or "")
    assert path is not None, "it has the prefix"
    if not os.access(path.parent, os.W_OK | os.X_OK):
        return fail(
            name, f"{listen}: '{path.parent}' is not there or cannot be written", "make it, for the server's user"
        )
    if path.exists() and not path.is_socket():
        return fail(name, f"{listen}: there is a file of that name, which is not a socket", "choose another")
    return ok(name, f"{listen} {'is there' if is_served and path.exists() else 'can be made'}")


def _bind(host: str, number: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        trial.bind((host, number))


def _answers_like_logriver(host: str, number: int) -> bool:
    """Whether `/ready`, which is open to all, is answered there. A certificate need not be of that name."""
    try:
        everywhere = ipaddress.ip_address(host).is_unspecified
    except ValueError:
        everywhere = False
    if everywhere:
        host = "::1" if ":" in host else "127.0.0.1"
    place = f"[{host}]:{number}" if ":" in host else f"{host}:{number}"
    for scheme in ("http", "https"):
        try:
            answer = httpx.get(f"{scheme}://{place}/ready", timeout=_ASK_SECONDS, trust_env=False, verify=False)
            msgspec.json.decode(answer.content, type=_Ready)
        except (httpx.HTTPError, msgspec.DecodeError, UnicodeDecodeError):
            continue
        return True
    return False


def certificate(chain: Path | None, key: Path | None) -> Finding:
    """Whether this user can read certificate and key, and they belong together."""
    name = "tls"
    if chain is None:
        return fail(name, f"'{key}' has no certificate", "give --tls-cert too")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(chain, key)
    except OSError as error:
        advice = "certificate and key are PEM files that the server's user can read"
        return fail(name, f"'{chain}' with '{key or chain}': {error.strerror or error}", advice)
    return ok(name, f"'{chain}' and its key can be read and belong together")


def server(address: str) -> Sequence[Finding]:
    """Whether a server can be reached, what it says of itself, and how its clock stands to ours."""
    name = "server"
    try:
        with connect(address, _ASK_SECONDS) as client:
            answer, its_clock = _asked(client)
            for _ in range(_DATE_ASKS - 1):
                if its_clock.verdict == "ok":
                    break
                time.sleep(_DATE_AGAIN_SECONDS)
                answer, its_clock = _asked(client)
            access = without_token(address, client.base_url.host, client.get("/api/v1/status").status_code)
        ready = msgspec.json.decode(answer.content, type=_Ready)
    except BadRequest as error:
        return [fail(name, error.message, error.hint or "")]
    except httpx.HTTPError as error:
        return [fail(name, f"no answer from {address[:80]!r}: {error or type(error).__name__}", "is it running?")]
    except (msgspec.DecodeError, UnicodeDecodeError):
        return [fail(name, f"{address[:80]!r} does not answer like a logriver", "check the address")]
    advice = "docs/how-to/operations.md says what each means"
    problems = [fail(name, f"not ready: {problem}", advice) for problem in ready.problems]
    return [*(problems or [ok(name, f"{address} is ready")]), its_clock, access]


def _asked(client: httpx.Client) -> tuple[httpx.Response, Finding]:
    """What a server answers, and what its `Date` says of its clock."""
    asked_ns = clock.now_ns()
    answer = client.get("/ready")
    return answer, _its_clock(answer, asked_ns, clock.now_ns())


def _its_clock(answer: httpx.Response, asked_ns: int, answered_ns: int) -> Finding:
    name = "server clock"
    try:
        there = parsedate_to_datetime(answer.headers["Date"]).timestamp()
    except (KeyError, ValueError):
        return warn(name, "the answer has no date", "is there a proxy between?")
    ahead = there - asked_ns / clock.SECOND_NS
    behind = answered_ns / clock.SECOND_NS - there
    off = ahead if ahead > 0 else -behind
    if max(ahead, behind) > _DATE_SECONDS:
        word = "ahead of" if off > 0 else "behind"
        return warn(name, f"{abs(off):.0f} s {word} this machine's", "let both follow a time service")
    return ok(name, f"within {_DATE_SECONDS:.0f} s of this machine's")
