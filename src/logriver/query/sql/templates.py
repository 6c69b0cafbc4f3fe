"""Messages to templates: what differs from record to record becomes a placeholder.

The engine replaces what can be told by its look; of templates that then differ in one word only, many are one more
template. Each has a search text of the words that stay, which finds its records.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable

from logriver.query.language.tree import Query, Text

ANY = "<*>"
MAX_CHARACTERS = 1_000
"""Of a message's first line, which is all that is looked at."""
MANY_VARIANTS = 10
"""So many templates that differ in the same one word are one."""

_HEX = "[0-9a-fA-F]"
_UUID = rf"\b{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}\b"
_CLOCK = r"[0-9]{2}:[0-9]{2}:[0-9]{2}(?:[.,][0-9]+)?"
_MONTH = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_DAY = "(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) )?"
# Those of ISO 8601, of web servers, and of syslog and ctime. Names of days and months would be templates of their own.
_TIME = (
    rf"\b(?:[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}[T ]{_CLOCK}(?:Z|[+-][0-9]{{2}}:?[0-9]{{2}})?"
    rf"|[0-9]{{2}}/{_MONTH}/[0-9]{{4}}:{_CLOCK}(?: [+-][0-9]{{4}})?"
    rf"|{_DAY}{_MONTH} {{1,2}}[0-9]{{1,2}} {_CLOCK}(?: [0-9]{{4}}\b)?)"
)
_LOOKS = (
    ('"[^"]*"', "<str>"),
    (_TIME, "<time>"),
    (_UUID, "<uuid>"),
    (r"\b[0-9]{1,3}(?:\.[0-9]{1,3}){3}\b", "<ip>"),
    # Letters and digits: what has only one of them is a word or a number.
    (rf"\b(?:0x{_HEX}+|[0-9]+[a-fA-F]{_HEX}{{4,}}|[a-fA-F]+[0-9]{_HEX}{{4,}})\b", "<hex>"),
    (r"[0-9]+(?:[.,][0-9]+)*", "<num>"),
)
_PLACEHOLDER = re.compile("|".join(re.escape(name) for name in (*(name for _, name in _LOOKS), ANY)))
_FIRST_WORD, _LAST_WORD = re.compile(r"^[^\W_]+"), re.compile(r"[^\W_]+$")
_MAX_RUNS = 10
_MAX_WORDS = 60

Words = tuple[str, ...]


def first_line() -> str:
    """SQL for what is looked at of a message."""
    return f"leftUTF8(substringIndex(message, '\\n', 1), {MAX_CHARACTERS})"


def template(bind: Callable[[str], str]) -> str:
    """SQL for the template of a message; `bind` gives the SQL for a string."""
    sql = first_line()
    for look, name in _LOOKS:
        sql = f"replaceRegexpAll({sql}, {bind(look)}, {bind(name)})"
    return sql


def merged(templates: Iterable[str]) -> dict[str, str]:
    """For each template the one that it is a case of, or itself."""
    words_of_text = {text: tuple(text.split(" ", _MAX_WORDS)) for text in templates}
    while True:
        wider = _widened(set(words_of_text.values()))
        if not wider:
            return {text: " ".join(words) for text, words in words_of_text.items()}
        words_of_text = {text: wider.get(words, words) for text, words in words_of_text.items()}


def _widened(words_of_text: set[Words]) -> dict[Words, Words]:
    """Templates that are one of many variants in one word, with it replaced; each at the word of most variants."""
    variants: dict[Words, list[Words]] = defaultdict(list)
    for words in words_of_text:
        # Of two words or one, nothing would be left to know it by.
        for at in range(len(words) if len(words) > 2 else 0):
            if words[at] != ANY:
                variants[(*words[:at], ANY, *words[at + 1 :])].append(words)
    wider: dict[Words, Words] = {}
    for general, cases in sorted(variants.items(), key=lambda found: (-len(found[1]), found[0])):
        if len(cases) >= MANY_VARIANTS:
            for case in cases:
                wider.setdefault(case, general)
    return wider


def words_of(template: str) -> list[Query]:
    """Conditions that every message of the template fulfils: the words between its placeholders."""
    runs = _PLACEHOLDER.split(template)
    found: list[Query] = []
    for at, run in enumerate(runs):
        # A word that touches a placeholder, or may be cut off, is only a part of one.
        whole = _FIRST_WORD.sub("", run) if at else run
        if at < len(runs) - 1 or len(template) >= MAX_CHARACTERS:
            whole = _LAST_WORD.sub("", whole)
        if re.search(r"[^\W_]", whole):
            found.append(Text(whole.strip()))
    return sorted(found, key=lambda text: -len(text.text) if isinstance(text, Text) else 0)[:_MAX_RUNS]
