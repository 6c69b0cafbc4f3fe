"""SQL for the text and the number of a field of `attributes`: out of the bytes where these show it, else parsed.

Parsing a document costs more than all that is done here. In a JSON text without a backslash each `"key":` is a key,
since no string holds a quote and the key begins with no sign of JSON's. It is one of the document itself if it stands
before the second brace, or if no brace closes after it but the last; it is one of an object if no brace stands between.
What the bytes do not show (a space before the colon, a float as text, an object with others before and after it) is
parsed, so the answer is that of `attribute_text` for every document whose objects have each key once.

The engine's planning takes 3 us a character, and on the right of an AND each mention of an expression is worked out for
itself. So checks are multiplied, and what is mentioned often is the parameter of a function over an array of one.
"""

import functools
from collections.abc import Callable

import msgspec

from logriver.columns import attribute_number, attribute_text, ways, with_dots

_SIGNS = (*":,{}[] \t\r\n",)
_NO_ESCAPES = "(position(attributes, '\\\\') = 0)"
_SECOND_BRACE = "position(attributes, '{', 2)"


def text(key: str, put: Callable[[str], str]) -> str:
    """What `columns.attribute_text` is."""
    put = functools.cache(put)
    if not _is_plain(key):
        return attribute_text(key, put)
    found, raw = _found(key, put), _raw(key, put)
    content = f"trim(BOTH '\"' FROM {raw})"
    # Of an empty text with spaces around it both quotes stand at one end.
    is_string = f"(length({raw}) = length({content}) + 2) * startsWith({raw}, '\"') * endsWith({raw}, '\"')"
    is_same = f"{raw} IN ('true', 'false') OR toString(toInt64OrZero({raw})) = {raw}"
    read = f"{found} * ({is_string}) = 1, {content}, {found} * ({is_same}) = 1, {raw}"
    return f"multiIf({read}, {_absent(key, put)}, NULL, {_parsed(key, put)})"


def number_text(key: str, put: Callable[[str], str]) -> str:
    """A text that is the same number as `columns.attribute_text` where that is one; where it is none, neither is it."""
    put = functools.cache(put)
    if not _is_plain(key):
        return attribute_text(key, put)
    bare = f"trim(BOTH '\"' FROM trim(BOTH ' \\t\\r\\n' FROM {_raw(key, put)}))"
    return f"multiIf({_found(key, put)} = 1, {bare}, {_absent(key, put)}, NULL, {_parsed(key, put)})"


def number(key: str, put: Callable[[str], str]) -> str:
    """What `columns.attribute_number` is of `columns.attribute_text`."""
    return f"arrayMap(text -> {attribute_number('text')}, [{number_text(key, put)}])[1]"


def elements(text: str) -> str:
    """SQL for the texts of what is in the array of JSON that `text` (not NULL) is; empty for any other text."""
    return f"JSONExtract({text}, 'Array(Nullable(String))')"


def values(text: str) -> str:
    """SQL for the different values of a field by its `text`, one or, of a list, its elements: what finds the record."""
    inside = f"arrayDistinct(arrayFilter(element -> isNotNull(element), {elements(f'assumeNotNull({text})')}))"
    return f"if(startsWith({text}, '[') AND notEmpty({inside}), {inside}, [{text}])"


def once(check: str, name: str, value: str) -> str:
    """SQL for a check, never NULL, of `name`, which is the SQL `value`; that is worked out once."""
    return f"arrayExists({name} -> {check}, [{value}])"


def _found(key: str, put: Callable[[str], str]) -> str:
    """1 where the bytes show where the value is, else 0."""
    begin = _begin(key, put)
    at_top = f"({begin} < {_or_end(_SECOND_BRACE)} OR position(attributes, '}}', {begin}) = length(attributes))"
    found = f"({begin} > 0) * {at_top}"
    path = key.split(".")
    if len(path) == 2:
        found = f"({found} + ({begin} = 0) * {_found_inside(path[0], path[1], put)})"
    return f"{_NO_ESCAPES} * {found}"


def _found_inside(outer: str, inner: str, put: Callable[[str], str]) -> str:
    """The same in the first object, or else in the last, which is looked for only in documents that are left."""
    begin, inside = _begin(outer, put), _begin(inner, put)
    own = f"position(attributes, '{{', {begin})"
    closing = f"position(attributes, '}}', {begin})"
    last = f"position(attributes, '}}', {closing} + 1) = length(attributes)"

    def between(brace: str, closing: str) -> str:
        after = f"position(attributes, '{{', {brace} + 1)"
        opened = f"({brace} - {begin} = {len(f'{_quoted(outer)}:'.encode())})"
        return f"{opened} * ({inside} < {closing}) * ({inside} < {_or_end(after)})"

    in_first = between(_SECOND_BRACE, "position(attributes, '}')")
    in_last = f"{between(own, closing)} * ({last})"
    return f"({begin} > 0) * ({inside} > {begin}) * ({in_first} OR {in_last})"


def _or_end(position: str) -> str:
    """The position, or beyond everything where there is none, which is 0."""
    return f"toUInt64({position} - 1)"


def _raw(key: str, put: Callable[[str], str]) -> str:
    """The value behind the first such key, as it stands there."""
    path = key.split(".")
    raw = f"simpleJSONExtractRaw(attributes, {put(key)})"
    if len(path) != 2:
        return raw
    return f"if({_begin(key, put)} > 0, {raw}, simpleJSONExtractRaw(attributes, {put(path[1])}))"


def _absent(key: str, put: Callable[[str], str]) -> str:
    names = sorted({_quoted(way[-1]) for way in ways(key)})
    return " * ".join([_NO_ESCAPES, *(f"(position(attributes, {put(name)}) = 0)" for name in names)]) + " = 1"


def _parsed(key: str, put: Callable[[str], str]) -> str:
    """`attribute_text`; keys with dots are not looked for in what is parsed where their bytes are not there at all."""
    literal_key, *paths = ways(key)
    if not paths:
        return attribute_text(key, put)
    path, *joined = paths
    by_path = f"JSONExtract(attributes, {', '.join(map(put, path))}, 'Nullable(String)')"
    names = sorted(set(map(with_dots, [literal_key, *joined])))
    may_have = " OR ".join([f"NOT {_NO_ESCAPES}", *(f"position(attributes, {put(name)}) > 0" for name in names)])
    return f"if({may_have}, {attribute_text(key, put)}, {by_path})"


def _begin(key: str, put: Callable[[str], str]) -> str:
    return f"position(attributes, {put(_quoted(key) + ':')})"


def _is_plain(key: str) -> bool:
    """Whether its quoted parts can stand nowhere but where it is a key.

    One that begins with a sign of JSON's could begin behind the end of a string: `"a":":"` has `":":` in it.
    """
    parts = {key, *key.split(".")}
    return "\\" not in _quoted(key) and not any(part.startswith(_SIGNS) for part in parts)


def _quoted(key: str) -> str:
    """The key as decoders write it."""
    return msgspec.json.encode(key).decode()
