"""The page's modules as one script, put together when the server starts.

Each of some forty small modules costs the browser a request of its own, and together a second on a busy machine. Here
each becomes a function that gives back what it exports, after those that it imports from. Only the forms that our
modules use are known; another one is an error when the server starts, so no test passes with it.
"""

import posixpath
import re
from collections.abc import Mapping
from graphlib import TopologicalSorter

_IMPORT = re.compile(r'^import\s+(?:(\w+)|\*\s+as\s+(\w+)|\{([^{}]*)\})\s+from\s+"([^"]+)";', re.MULTILINE)
_PASSED_ON = re.compile(r'^export\s*\{([^{}]*)\}\s*from\s+"([^"]+)";', re.MULTILINE)
_LIST = re.compile(r"\bexport\s*\{([^{}]*)\};?\s*\Z")
_DECLARED = re.compile(r"^export\s+((?:async\s+)?function|class|const)\s+(\w+)", re.MULTILINE)
_OTHER = re.compile(r"^(?:import|export)\b.*", re.MULTILINE)


def joined(modules: Mapping[str, str], first: str) -> str:
    """One script that does what the module `first` does, with all that it imports; `ValueError` for other forms."""
    parts: dict[str, str] = {}
    needed: dict[str, list[str]] = {}
    waiting = [first]
    while waiting:
        name = waiting.pop()
        if name in parts:
            continue
        parts[name], needed[name] = _function(name, modules[name])
        waiting += needed[name]
    order = TopologicalSorter(needed).static_order()
    return "const modules = {};\n" + "".join(f"\n// {name}\n{parts[name]}" for name in order)


def _function(name: str, text: str) -> tuple[str, list[str]]:
    """The module as a function that is called at once, and the names of the modules it imports."""
    needed: list[str] = []
    exported: list[str] = []

    def module(path: str) -> str:
        other = posixpath.normpath(posixpath.join(posixpath.dirname(name), path))
        needed.append(other)
        return f'modules["{other}"]'

    def imported(found: re.Match[str]) -> str:
        default, everything, names, path = found.groups()
        if everything:
            return f"const {everything} = {module(path)};"
        imported = f"default: {default}" if default else ", ".join(":".join(pair) for pair in _pairs(names))
        return f"const {{ {imported} }} = {module(path)};"

    def passed_on(found: re.Match[str]) -> str:
        pairs = _pairs(found[1])
        exported.extend(f"{new}: {module(found[2])}.{old}" for old, new in pairs)
        return ""

    def declared(found: re.Match[str]) -> str:
        exported.append(found[2])
        return f"{found[1]} {found[2]}"

    def listed(found: re.Match[str]) -> str:
        exported.extend(f"{new}: {old}" for old, new in _pairs(found[1]))
        return ""

    text = _PASSED_ON.sub(passed_on, _IMPORT.sub(imported, text))
    text, lists = _LIST.subn(listed, text)
    # A vendored file has one list at its end, and comments with all sorts of code.
    if not lists:
        text = _DECLARED.sub(declared, text)
        if other := _OTHER.search(text):
            raise ValueError(f"{name}: not one of the forms that can be joined: {other[0]!r}")
    return f'modules["{name}"] = (() => {{\n{text}\nreturn {{ {", ".join(exported)} }};\n}})();\n', needed


def _pairs(names: str) -> list[tuple[str, str]]:
    """`a, b as c` as pairs of the name inside and the name outside."""
    words = [part.split() for part in names.split(",") if part.strip()]
    return [(word[0], word[-1]) for word in words]
