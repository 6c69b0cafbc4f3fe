"""A cursor: where a page of rows ended and what its first page saw, as one opaque string.

It holds the visible mark and the resolved times of the first page, so that pages neither lose nor repeat a row while
records keep arriving.
"""

import base64
import binascii
from typing import Annotated, Literal

import msgspec

from logriver.errors import BadRequest

Order = Literal["asc", "desc"]
_Time = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_Seq = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class Cursor(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """The place after a row; `tag` is the version of the format."""

    mark: _Seq
    from_ns: _Time | None
    to_ns: _Time | None
    order: Order
    time_ns: _Time
    node: str
    seq: _Seq


_decoder = msgspec.msgpack.Decoder(Cursor)


def encode(cursor: Cursor) -> str:
    """The cursor as text that needs no escaping in an address."""
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(cursor)).decode().rstrip("=")


def decode(text: str) -> Cursor:
    """The cursor that `encode` made. Raises `BadRequest` for anything else."""
    try:
        return _decoder.decode(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except (msgspec.MsgspecError, binascii.Error, ValueError):
        raise BadRequest(f"not a cursor: {text[:60]!r}", hint="use the cursor of an answer, unchanged") from None
