"""The head of a request before it is parsed: where it ends, how large it may be, and `Upgrade` where it means nothing.

The parser collects an unfinished header by copying all of it for each piece that comes, and never says how much it has.
So a head is kept here until it is whole, within the limits, and given to the parser at once.
"""

import re

from logriver.errors import BadRequest, HeadersTooLarge, TargetTooLong

MOST_BYTES = 64 * 1024
"""Of a head, of the request line in it, of trailers, and of what stands between two pieces of a body."""

MOST_HEADERS = 256

_UPGRADE = re.compile(rb"\r\nupgrade[ \t]*:[^\r\n]*", re.IGNORECASE)
_BODY = re.compile(rb"\r\n(?:content-length|transfer-encoding)[ \t]*:", re.IGNORECASE)
_WEBSOCKET_LINE = re.compile(rb"GET [^\r\n]* HTTP/1\.1\r\n")
_WEBSOCKET = re.compile(rb"\r\nupgrade[ \t]*:[ \t]*websocket[ \t]*\r\n", re.IGNORECASE)
# The limits of the library that reads the handshake again.
_MOST_HANDSHAKE_HEADERS = 128
_MOST_HANDSHAKE_LINE_BYTES = 8_192


def behind_empty_lines(data: bytes, start: int) -> int:
    """The first place that is not of an empty line: those before a request are passed over."""
    if data[start] not in b"\r\n":
        return start
    return len(data) - len(data[start:].lstrip(b"\r\n"))


def end_of(data: bytes | bytearray, start: int, searched: int = 0) -> int:
    """Where the head that begins at `start` ends, with its empty line; 0 if it does not end here.

    `searched` is how far it was looked at before. An empty line of a bare line feed ends a head too: the parser refuses
    it, and nobody waits for the rest of what can never be one.
    """
    begin = max(start, searched - 3)
    for empty_line in (b"\r\n\r\n", b"\n\n", b"\n\r\n"):
        found = data.find(empty_line, begin)
        if found >= 0:
            return found + len(empty_line)
    return 0


def check(head: bytes | bytearray, start: int, end: int) -> None:
    """Look at the head that begins at `start` and ends at `end`, or not yet where that is 0.

    Raises `TargetTooLong` or `HeadersTooLarge` for one over a limit, `BadRequest` for one that can never be a head.
    """
    stop = end or len(head)
    if stop - start > MOST_BYTES:
        if head.find(b"\n", start, start + MOST_BYTES) < 0:
            raise TargetTooLong(f"the request line has more than {MOST_BYTES} bytes", hint="send it in a body, by POST")
        raise HeadersTooLarge(f"the headers have more than {MOST_BYTES} bytes")
    if head.count(b"\n", start, stop) > MOST_HEADERS + 2:
        raise HeadersTooLarge(f"there are more than {MOST_HEADERS} headers")
    if not end and stop > start and not b"A" <= head[start : start + 1] <= b"Z":
        raise BadRequest("the request is not HTTP/1.1: it does not begin with a method")


def without_idle_upgrade(head: bytes) -> bytes:
    """The head without `Upgrade`, unless it begins a WebSocket: any other is passed over, as HTTP allows.

    The parser would take what follows for another protocol. Raises `TargetTooLong` or `HeadersTooLarge` for a WebSocket
    that is over the limits of its handshake.
    """
    if not (_WEBSOCKET_LINE.match(head) and _WEBSOCKET.search(head)) or _BODY.search(head):
        return _UPGRADE.sub(b"", head)
    lines = head.split(b"\r\n")
    if len(lines[0]) > _MOST_HANDSHAKE_LINE_BYTES - 2:
        raise TargetTooLong(f"the request line of a WebSocket has more than {_MOST_HANDSHAKE_LINE_BYTES} bytes")
    if len(lines) - 3 > _MOST_HANDSHAKE_HEADERS or max(map(len, lines)) > _MOST_HANDSHAKE_LINE_BYTES - 2:
        raise HeadersTooLarge(
            f"a WebSocket has at most {_MOST_HANDSHAKE_HEADERS} headers of {_MOST_HANDSHAKE_LINE_BYTES} bytes"
        )
    return head
