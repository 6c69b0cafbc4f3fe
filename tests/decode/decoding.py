"""Decoding through the interface of decoders."""

from typing import Any

from logriver import clock
from logriver.decode.decoder import Options, State
from logriver.decode.reference import ReferenceDecoder
from logriver.record import Decoded

NOW_NS = clock.from_text("2026-03-01T12:00:00Z")


def decoded(format: str, data: bytes, offset: int | None = 0, now_ns: int = NOW_NS, **options: Any) -> Decoded:
    """What a fresh decoder makes of `data`; times without a zone are of UTC unless another is given."""
    return ReferenceDecoder().decode(data, Options(format, **{"zone": "UTC", **options}), State(now_ns, offset))[0]


def whole(format: str, data: bytes, **options: Any) -> int:
    """How many of its bytes are records that cannot go on."""
    return ReferenceDecoder().whole(data, Options(format, **{"zone": "UTC", **options}), State(NOW_NS, 0))
