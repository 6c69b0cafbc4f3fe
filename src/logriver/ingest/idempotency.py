"""Idempotency keys: what makes a batch that is sent again the same batch."""

import hashlib

from logriver.errors import BadRequest
from logriver.identity import Principal
from logriver.record import BatchKey

_MAX_KEY_LENGTH = 256


def checked(key: str) -> str:
    """A key as a client sent it, which may be none. Raises `BadRequest`."""
    if len(key) > _MAX_KEY_LENGTH:
        raise BadRequest(f"the idempotency key is longer than {_MAX_KEY_LENGTH} characters")
    return key


def batch_key(principal: Principal, key: str, content: bytes, meaning: str = "") -> BatchKey:
    """The key within its principal, so that two senders cannot meet in one, and what it stands for.

    `meaning` is whatever beside `content` decides which records it becomes.
    """
    scope = hashlib.blake2b(key.encode("latin-1"), digest_size=16, key=principal.key_scope).digest()
    meant = hashlib.blake2b(meaning.encode(errors="surrogatepass"), digest_size=16)
    meant.update(content)
    return BatchKey(scope, meant.digest())
