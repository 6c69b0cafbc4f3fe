"""Where a server is and what it wants to see: its address as users write it, TLS, the token."""

import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit

from logriver.errors import BadRequest

LOCAL_SERVER = "http://127.0.0.1:3000"

_LOOPBACK = frozenset(("localhost", "127.0.0.1", "::1"))


@dataclass(frozen=True, slots=True)
class Address:
    """A server's `url`. What is `local` refuses what came through a proxy, which could not reach it either."""

    url: str
    local: bool

    @property
    def verify(self) -> ssl.SSLContext | bool:
        """What httpx checks certificates by: the machine's own, and those of `SSL_CERT_FILE`.

        httpx takes that variable to be part of the environment, which a local server's client leaves out.
        """
        return ssl.create_default_context() if self.local and self.url.startswith("https:") else True


def address(server: str) -> Address:
    """The address in `server`, which may leave `http://` out. Raises `BadRequest` where it is none."""
    try:
        parts = urlsplit(server if "://" in server else f"http://{server}")
        # Whether a port is one is only told when it is asked for.
        host = parts.hostname if parts.scheme in ("http", "https") and parts.port != 0 else None
    except ValueError:
        host = None
    if not host:
        raise BadRequest(f"not a server address: {server[:80]!r}", hint=f"write it as {LOCAL_SERVER}")
    return Address(parts.geturl(), host in _LOOPBACK)


def bearer(token: str) -> dict[str, str]:
    """The header that shows `token`, none where it is empty. Raises `BadRequest` where it cannot be sent."""
    if not token:
        return {}
    if not token.isascii() or not token.isprintable():
        raise BadRequest("the token has characters that cannot be sent")
    return {"Authorization": f"Bearer {token}"}
