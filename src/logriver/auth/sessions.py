"""What a browser holds instead of the token: a random value and its end, signed with a key that the token gives.

The server keeps nothing of it; another token ends all sessions.
"""

import hashlib
import hmac
import secrets

from logriver import clock

COOKIE = "logriver_session"
LIFE_SECONDS = 7 * 24 * 3600

_NONCE_BYTES = 16


class Sessions:
    """Makes and checks the values of the cookie."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def start(self) -> str:
        """The value of a new session."""
        ends = clock.now_ns() // clock.SECOND_NS + LIFE_SECONDS
        content = f"{ends}.{secrets.token_hex(_NONCE_BYTES)}"
        return f"{content}.{self._signature(content)}"

    def valid(self, value: str) -> bool:
        """Whether it is one of ours and not over."""
        content, _, signature = value.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._signature(content).encode()):
            return False
        return int(content.partition(".")[0]) > clock.now_ns() // clock.SECOND_NS

    def _signature(self, content: str) -> str:
        return hmac.new(self._key, content.encode(), hashlib.sha256).hexdigest()


def session_of(cookies: bytes) -> str:
    """The session in a Cookie header, empty if there is none."""
    for cookie in cookies.split(b";"):
        name, _, value = cookie.strip().partition(b"=")
        if name == COOKIE.encode():
            return value.decode("latin-1")
    return ""
