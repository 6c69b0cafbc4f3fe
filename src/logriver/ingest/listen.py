"""The addresses a server listens on: read from the settings, bound, and shown."""

import ipaddress
import socket
import ssl
from collections.abc import Sequence
from pathlib import Path

from logriver.errors import SettingsError


def listeners(addresses: Sequence[str]) -> list[socket.socket]:
    """A bound socket for each address, not listening yet.

    Raises `SettingsError` for a text that is no address, `OSError` that names the one that cannot be taken; then
    none is.
    """
    places = [_place(text) for text in addresses]
    if not places:
        raise SettingsError("setting 'listen': there is no address")
    bound: list[socket.socket] = []
    try:
        for host, port in places:
            bound.append(_bound(host, port))
    except OSError:
        for listener in bound:
            listener.close()
        raise
    return bound


def url(listener: socket.socket, encrypted: bool) -> str:
    """The address of a bound socket as one would type it."""
    host, port = listener.getsockname()[:2]
    return f"{'https' if encrypted else 'http'}://{_shown(host, port)}"


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


def _place(text: str) -> tuple[str, int]:
    """Host and port; without a host it is this machine alone."""
    host, _, port = text.strip().rpartition(":")
    host = host.removeprefix("[").removesuffix("]") or "127.0.0.1"
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
        number = int(port)
    except ValueError:
        number = -1
    if not 0 <= number <= 65_535:
        hint = "write it as 127.0.0.1:3000, [::1]:3000 or 0.0.0.0:3000"
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
