"""How much of a regular expression is repeated, written out: of `x[a-z]{1,200}y?` it is 201.

RE2's time for a byte grows with it where a text almost matches, and the engine looks at its clock only between blocks
of rows, so its limit of time comes late. `Condition.repeat` holds a search text to a limit.
"""

import re

# What is not closed reaches to the end: looking for its end from many places would take the square of the length.
_PIECE = re.compile(
    r"""
    (?P<flags>\(\?[A-Za-z-]*\))
    | (?P<open>\((?:\?(?:P?<[^>]{0,100}>|[A-Za-z-]*:))?)
    | (?P<alternative>\|)
    | (?P<atom>
        (?P<close>\))
        | \\Q.*?(?:\\E|\Z)
        | \\(?:x\{[^}]{0,8}\}|[pP]\{[^}]{0,50}\}|.)
        | \[\^?\]?(?:\[:\^?\w+:\]|\\.|[^\]\\])*(?:\]|\Z)
        | .
      )
      (?P<repeat>[*+?]|\{(?P<least>[0-9]{1,4})(?:,(?P<most>[0-9]{0,4}))?\})?
    """,
    re.DOTALL | re.VERBOSE,
)


def repeated(pattern: str) -> int:
    """The number of characters and classes that are repeated, each as often as it can be; an open end counts once."""
    # Of each open group, the outermost first: its length written out, and how much of that is repeated.
    groups = [(0, 0)]
    for piece in _PIECE.finditer(pattern):
        if piece["open"]:
            groups.append((0, 0))
        if not piece["atom"]:
            continue
        length, inside = groups.pop() if piece["close"] and len(groups) > 1 else (1, 0)
        if piece["repeat"]:
            length *= max(1, int(piece["least"] or 0), int(piece["most"] or 0))
            inside = length
        outer_length, outer_inside = groups[-1]
        groups[-1] = (outer_length + length, outer_inside + inside)
    return sum(inside for _, inside in groups)
