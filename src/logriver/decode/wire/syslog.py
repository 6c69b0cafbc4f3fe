"""The end of an RFC 5424 header: process id, message id, structured data (section 6.3)."""

import re

from logriver.decode.tables.read import table

Fields = dict[str, str | dict[str, str]]

_FORMATS = table("formats")
_ELEMENT = _FORMATS.compiled("syslog_element")
_PARAMETER = _FORMATS.compiled("syslog_parameter")
_ESCAPED = re.compile(r'\\(["\\\]])')
_MAX_PARAMETERS = 5_000


def fields(header: str) -> Fields:
    """`PROCID MSGID STRUCTURED-DATA`, and the message after it, to fields: `procid`, `msgid`, one object an element.

    Elements that are not as the RFC has them are left out; the line itself is the message anyway.
    """
    process, message, data = header.split(" ", 2)
    found: Fields = {name: text for name, text in (("procid", process), ("msgid", message)) if text != "-"}
    position = parameters = 0
    while parameters < _MAX_PARAMETERS and (element := _ELEMENT.match(data, position)):
        values = {name: _ESCAPED.sub(r"\1", value) for name, value in _PARAMETER.findall(element[2])}
        parameters += 1 + len(values)
        found[element[1]] = values
        position = element.end()
    return found
