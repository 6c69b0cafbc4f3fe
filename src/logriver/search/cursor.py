"""A cursor: where a page of rows ended and what its first page saw, as one opaque string.

It holds the watermark and the resolved times of the first page, so that pages neither lose nor repeat a row while
records keep arriving.
"""

import base64
import binascii
import contextlib
import zlib
from typing import Annotated, Literal

import msgspec

from logriver.errors import BadRequest
from logriver.watermark import Watermark

Order = Literal["asc", "desc"]
_Time = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_Seq = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class Cursor(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """The place of a row; `tag` is the version of the format.

    `shown` is how many rows came before: a sorted answer goes on after so many, and a limit counts them. `newer` leads
    to what is newer than the row, whatever the order is that rows are given in. `asked` is the
    `checksum` of the search text.
    """

    watermark: Watermark
    from_ns: _Time | None
    to_ns: _Time | None
    order: Order
    time_ns: _Time
    node: str
    seq: _Seq
    shown: _Seq = 0
    newer: bool = False
    asked: int = 0


class TailCursor(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """How far a live tail is: every record up to there was looked at."""

    watermark: Watermark


_EARLIER_TAGS = (1, 2)
"""Of formats that are read no more: they had a number without its node."""


def _watermark_of(kind: type, value: object) -> Watermark:
    return Watermark(msgspec.convert(value, dict[str, _Seq]))


_encode = msgspec.msgpack.Encoder(enc_hook=dict).encode
_page_decoder = msgspec.msgpack.Decoder(Cursor, dec_hook=_watermark_of)
_tail_decoder = msgspec.msgpack.Decoder(TailCursor | Cursor, dec_hook=_watermark_of)


def checksum(text: str) -> int:
    """What distinguishes a search text from others."""
    return zlib.crc32(text.encode(errors="surrogatepass"))


def encode(cursor: Cursor | TailCursor) -> str:
    """The cursor as text that needs no escaping in an address."""
    return base64.urlsafe_b64encode(_encode(cursor)).decode().rstrip("=")


def decode(text: str) -> Cursor:
    """The cursor of a page that `encode` made. Raises `BadRequest` for anything else."""
    try:
        return _page_decoder.decode(_bytes(text))
    except (msgspec.MsgspecError, binascii.Error, ValueError):
        raise _no_cursor(text) from None


def decode_tail(text: str) -> TailCursor:
    """The cursor of a tail, or of a page, after whose watermark the tail begins. Raises `BadRequest` otherwise."""
    try:
        found = _tail_decoder.decode(_bytes(text))
    except (msgspec.MsgspecError, binascii.Error, ValueError):
        raise _no_cursor(text) from None
    return TailCursor(found.watermark) if isinstance(found, Cursor) else found


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def _no_cursor(text: str) -> BadRequest:
    with contextlib.suppress(msgspec.MsgspecError, binascii.Error, ValueError):
        tag, *_ = msgspec.msgpack.decode(_bytes(text), type=list[object])
        if tag in _EARLIER_TAGS:
            return BadRequest("the cursor was made by an earlier version", hint="search again, from the first page")
    return BadRequest(f"not a cursor: {text[:60]!r}", hint="use the cursor of an answer, unchanged")
