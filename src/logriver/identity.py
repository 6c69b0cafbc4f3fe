"""Who asks. `auth/` sets it on every request before anything else of the request is looked at."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ADMIN = "admin"
"""The role of whoever may do everything."""

SCOPE_KEY = "principal"
"""Where an ASGI scope has its principal."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a request is from.

    `id` names it in logs, `roles` say what it may do, `restrictions` are search texts of which every record that it is
    given must match each one: none means all records. `has_credentials` is whether it has shown a secret, rather than
    being let in for where it asks from. `key_scope` keeps the idempotency keys of senders apart; secrets cannot be
    computed from it.
    """

    id: str
    roles: frozenset[str] = frozenset()
    restrictions: tuple[str, ...] = ()
    has_credentials: bool = False
    key_scope: bytes = field(default=b"", repr=False)


ANONYMOUS = Principal("anonymous")
"""Somebody of whom nothing is known; gets only what is open to all."""

LOCAL = Principal("local", frozenset((ADMIN,)))
"""A caller on this machine, where that is enough."""


def is_known(scope: Mapping[str, Any]) -> bool:
    """Whether an ASGI request was let in as somebody, as far as it was looked at yet."""
    return scope.get(SCOPE_KEY, ANONYMOUS) is not ANONYMOUS


def principal_of(scope: Mapping[str, Any]) -> Principal:
    """Who an ASGI request is from."""
    principal = scope[SCOPE_KEY]
    assert isinstance(principal, Principal), "set by auth/ before anything else"
    return principal
