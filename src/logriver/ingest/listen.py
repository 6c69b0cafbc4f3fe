"""The addresses a server listens on: read from the settings, bound, and shown."""

import ipaddress
import socket
import ssl
from collections.abc import Sequence
from pathlib import Path

from logriver.auth.request_origin import is_loopback
from logriver.errors import SettingsError
from logriver.ingest import unix_socket
from logriver.settings import Settings


def listeners(addresses: Sequence[str]) -> list[socket.socket]:
    """A bound socket for each address, not listening yet.

    Raises `SettingsError` for a text that is no address, `OSError` that names the one that cannot be taken; then
    none is.
    """
    wanted = [unix_socket.path_of(text) or _host_and_port(text) for text in addresses]
    if not wanted:
        raise SettingsError("setting 'listen': there is no address")
    bound: list[socket.socket] = []
    try:
        for address in wanted:
            listener = unix_socket.bound(address) if isinstance(address, Path) else _bound(*address)
            bound.append(listener)
    except OSError:
        with unix_socket.removed_at_end(bound):
            pass
        for listener in bound:
            listener.close()
        raise
    return bound


def url(listener: socket.socket, encrypted: bool) -> str:
    """The address of a bound socket as one would type it."""
    if listener.family == socket.AF_UNIX:
        return f"{unix_socket.PREFIX}{listener.getsockname()}"
    host, port = listener.getsockname()[:2]
    return f"{'https' if encrypted else 'http'}://{_shown(host, port)}"


def url_here(listener: socket.socket, encrypted: bool) -> str:
    """What to type on this machine for an address that stands for all of its addresses; empty for any other."""
    if listener.family == socket.AF_UNIX:
        return ""
    host, port = listener.getsockname()[:2]
    loopback = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, "")
    return f"{'https' if encrypted else 'http'}://{_shown(loopback, port)}" if loopback else ""


def trusts_loopback(settings: Settings) -> bool:
    """Whether callers on this machine need no token, as the settings say or, where they do not, as they imply.

    Who set a token or listens on a network expects callers from elsewhere, perhaps by a proxy on this machine, which
    looks like a local caller. Raises `SettingsError` for a text that is no address.
    """
    if settings.trust_loopback is not None:
        return settings.trust_loopback
    ports = [text for text in settings.listen if not unix_socket.path_of(text)]
    return not settings.token.get_secret_value() and all(is_loopback(_host_and_port(text)[0]) for text in ports)


def loopback_ports(addresses: Sequence[str]) -> list[int]:
    """The ports of this machine alone that are listened on. Raises `SettingsError` for a text that is no address."""
    ports = [_host_and_port(text) for text in addresses if not unix_socket.path_of(text)]
    return [port for host, port in ports if is_loopback(host)]


def check_certificate(certificate: Path | None, key: Path | None) -> bool:
    """Whether TLS is spoken. Raises `SettingsError` for a certificate and a key that cannot be used together."""
    if certificate is None and key is None:
        return False
    if certificate is None or key is None:
        raise SettingsError("'tls_cert' and 'tls_key' belong together, one of them is missing")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    except OSError as error:
        raise SettingsError(f"tls certificate '{certificate}' with key '{key}' cannot be used: {error}") from None
    return True


def _host_and_port(text: str) -> tuple[str, int]:
    """Host and port; without a host it is this machine alone."""
    host, _, port = text.strip().rpartition(":")
    host = host.removeprefix("[").removesuffix("]") or "127.0.0.1"
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
        number = int(port)
    except ValueError:
        number = -1
    if not 0 <= number <= 65_535:
        hint = "write it as 127.0.0.1:3000, [::1]:3000, 0.0.0.0:3000 or unix:/path"
        raise SettingsError(f"setting 'listen': {text[:60]!r} is not an address and a port", hint=hint)
    return str(address), number


def _bound(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if listener.family == socket.AF_INET6:
            # So that 0.0.0.0 and :: can be listened on beside each other, and each means what it says.
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        reason = (error.strerror or str(error)).lower()
        raise OSError(f"{_shown(host, port)} cannot be listened on: {reason}") from None
    return listener


def _shown(host: str, port: int) -> str:
    return f"{f'[{host}]' if ':' in host else host}:{port}"
