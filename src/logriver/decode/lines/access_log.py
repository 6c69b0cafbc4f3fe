"""Access logs of web servers, in Apache's common and combined formats (nginx and others write them too).

`[VHOST] CLIENT IDENT USER [TIME] "REQUEST" STATUS BYTES ["REFERER" "USER AGENT"]`; what follows is only in the
message, which is the line. A field that is `-` is left out. A line that is not so is read as text.
"""

import re

import msgspec

from logriver.decode.lines.text import Values
from logriver.decode.lines.whole_lines import Line
from logriver.decode.tables.read import table
from logriver.decode.time.shapes import ACCESS_LOG
from logriver.decode.time.timestamps import Stamps

_FORMATS = table("formats")
_LINE = _FORMATS.compiled("access_line")
_METHOD = _FORMATS.compiled("access_method")
_PROTOCOL = _FORMATS.compiled("access_protocol")
_COMMON_METHODS = frozenset(("GET", "POST", "HEAD"))
_COMMON_PROTOCOLS = frozenset(("HTTP/1.1", "HTTP/2.0"))
_ESCAPED_QUOTE = re.compile(r'\\(["\\])')

_BEFORE = ("client", "user", "method", "path", "protocol")
_AFTER = ("referer", "user_agent")

_to_json = msgspec.json.Encoder().encode


def is_access_line(text: str) -> bool:
    """Whether `text` is a line of an access log."""
    return _LINE.match(text) is not None


def values_of(line: Line, stamps: Stamps) -> Values | None:
    """The values of an access line's row; None for another."""
    _, offset, text = line
    found = _LINE.match(text)
    stamped = ACCESS_LOG.pattern.search(text, 0, found.end("time")) if found else None
    if not found or not stamped:
        return None
    try:
        time = str(stamps.time_ns(ACCESS_LOG, *ACCESS_LOG.parts(stamped.groups(""))[:4]))
    except ValueError:
        return None
    attributes = _to_json(_fields(found)).decode()
    return time, "", text, "", "", "", "", attributes, "", str(offset)


def _fields(found: re.Match[str]) -> dict[str, str | int]:
    vhost_client, vhost_user, client, user, _, request, status, size, referer, agent = found.groups("")
    client, user = vhost_client or client, vhost_user or user
    method, path, protocol = _request(request)
    texts = zip(_BEFORE, (client, user, method, path, protocol), strict=True)
    fields: dict[str, str | int] = {name: text for name, text in texts if text and text != "-"}
    if status != "-":
        fields["status"] = int(status)
    if size != "-":
        fields["bytes"] = int(size)
    for name, text in zip(_AFTER, (referer, agent), strict=True):
        if text and text != "-":
            fields[name] = _plain(text)
    return fields


def _request(request: str) -> tuple[str, str, str]:
    """Method, path and protocol; what is not a request (a TLS greeting on a plain port) is all path."""
    method, space, rest = request.partition(" ")
    if not space or not (method in _COMMON_METHODS or _METHOD.fullmatch(method)):
        return "", _plain(request), ""
    path, space, protocol = rest.rpartition(" ")
    if space and (protocol in _COMMON_PROTOCOLS or _PROTOCOL.fullmatch(protocol)):
        return method, _plain(path), protocol
    return method, _plain(rest), ""


def _plain(quoted: str) -> str:
    return _ESCAPED_QUOTE.sub(r"\1", quoted) if "\\" in quoted else quoted
