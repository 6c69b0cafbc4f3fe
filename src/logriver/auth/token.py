"""The token: from the settings, or made at the first start and kept in the data directory.

It is compared by its hash, so that neither its length nor its beginning shows in how long that takes.
"""

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from logriver.errors import SettingsError

TOKEN_FILE = "TOKEN"
"""Its name in the data directory."""

_RANDOM_BYTES = 32
_OTHERS = 0o077


class Token:
    """A secret text that never shows itself."""

    def __init__(self, text: str) -> None:
        self._digest = _digest(text.encode())

    def equals(self, given: bytes) -> bool:
        """Whether `given` is the token, in constant time."""
        return hmac.compare_digest(_digest(given), self._digest)

    def key(self, purpose: bytes) -> bytes:
        """Another secret that only this token gives, for `purpose` (at most 16 bytes)."""
        return hashlib.blake2b(self._digest, digest_size=32, person=purpose).digest()


def kept_token(file: Path) -> tuple[str, bool]:
    """The token in `file`, and whether it was made just now because there was none.

    Raises `SettingsError` for what is no file, can be read by others, is empty or not text; `OSError`.
    """
    if not file.exists():
        text = secrets.token_urlsafe(_RANDOM_BYTES)
        _write(file, text)
        return text, True
    if not file.is_file():
        raise SettingsError(f"'{file}' is not a file", hint="remove it, and a token is made")
    if file.stat().st_mode & _OTHERS:
        raise SettingsError(f"the token in '{file}' can be read by others", hint=f"chmod 600 {file}")
    try:
        text = file.read_text().strip()
    except UnicodeDecodeError:
        raise SettingsError(
            f"the token in '{file}' is not text", hint="remove the file, and a new one is made"
        ) from None
    if not text:
        raise SettingsError(f"there is no token in '{file}'", hint="remove the file, and a new one is made")
    return text, False


def _digest(secret: bytes) -> bytes:
    return hashlib.blake2b(secret, digest_size=32).digest()


def _write(file: Path, text: str) -> None:
    """Whole or not at all, and never readable by others."""
    fresh = file.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as handle:  # noqa: PTH123
        handle.write(f"{text}\n")
        handle.flush()
        os.fsync(handle.fileno())
    fresh.rename(file)
    directory = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
