"""One name, one meaning: names that were given up are nowhere left, in code, page, documents and settings.

`docs/glossary.md` has the names in use. Words of plain English are not listed: only names that code, settings, metrics,
options or headings had.
"""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# By the name in use today.
GIVEN_UP = {
    "watermark": r"visible[ _-]mark",
    "SkippedRange": r"\bHoles?\b",
    "ClaimedBatch, Extent": r"\bqueue\.take\b|\bbury\b|\bburied\b",
    "partition": r"\bSlices\b|\bSliceSize\b|\bslice_bytes\b|\bfirst_open_slice\b",
    "fast path, slow path": r"\b[Ss]hort[ _]way\b|ShortWay",
    "ingest endpoint, protocol": r"\bways_in\b|\bthe ways? in\b|\ba way in\b|\bevery way in\b",
    "MemoryBudget, decompress": r"\bInflight\b|receive[./]inflate",
    "JsonValidator": r"\bFitness\b",
    "QueryScheduler, slot": r"\bDesk\b|\bdesk\b",
    "SearchRequest, TimeRange": r"\bWanted\b|\bQuestion\b",
    "MaterializedFields, evict": r"\bPromoted\b|promoted_file",
    "trusted local, AccessControl": r"plainly[ _]local|\bDoor\b",
    "file identity": r"\bSettling\b|\bOriginFinder\b|\bUnheld\b|\bunheld\b",
    "incarnation": r"\bGenerations?\b|generation_(?:of|count)",
    "committed": r"(?<![\w])held_bytes\b|\bHeldBar\b|\bheldbar\b|\b[Hh]eld_?[Ll]ines\b|\bHeldRecords\b",
    "dead letter": r"\bLetters?\(|\b(?:remove|count|delete)_letters\b|\.letters\b",
    "Decoder, Options": r"\bLineRules\b|\bLineReader\b|\bline_rules\b|\brules_of\b",
    "schema of JSON records": r"decode[./]json[./]shape",
    "space, disk space": r"\bno_room\b|\b_?has_room\b|\b_?check_room\b|_BLANKS\b",
    "internal logs": r"own[_-]logs?\b|OwnLog",
    "include_files": r"also_files|AlsoFiles",
    "CancelOnDisconnect": r"\b[Dd]eparture\b",
    "repair, disk pressure": r"\bmind_(?:parts|room)\b",
    "compat": r"\bearlier\.py\b|EarlierSearch",
    "QueryResult, Chunks": r"\b(?:store\.)?base import[^\n]*\b(?:Answer|Pieces)\b|\b_Pieces\b",
    "OnTaken, AnswerAsk": r"(?:fast_path|answering) import[^\n]*\bAnswer\b",
    "FileKey": r"\bPlace = tuple|\bincarnations import[^\n]*\bPlace\b|\blog_files import[^\n]*\bPlace\b|\b_by_place\b",
    "PathPattern": r"\bpaths import[^\n]*\bSource\b|\bsources_of\b",
    "partition in use": r"\bpartitions\.place\b|_held_condition",
}
ENDINGS = {".py", ".js", ".css", ".html", ".md", ".toml", ".service", ".yaml"}
# Decisions and formats of data say what was; what is vendored has words of its own.
LEFT_OUT = re.compile(r"docs/decisions/|/vendor/|docs_assets/|store/migrations/|record_forms|tests/data/|bench/RESULTS")


def our_texts() -> list[tuple[str, str]]:
    folders = ("src", "tests", "bench", "docs", "deploy")
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in ENDINGS]
    paths += [path for path in ROOT.glob("*.md") if path.name != "CHANGELOG.md"]
    named = [(str(path.relative_to(ROOT)), path) for path in paths if path != Path(__file__)]
    return [(name, path.read_text()) for name, path in named if not LEFT_OUT.search(name)]


TEXTS = our_texts()


def test_that_texts_are_found() -> None:
    assert {"src/logriver/server.py", "docs/glossary.md", "src/logriver/ui/app.js"} <= {name for name, _ in TEXTS}


@pytest.mark.parametrize("name", GIVEN_UP)
def test_a_name_that_was_given_up_is_nowhere_left(name: str) -> None:
    pattern = re.compile(GIVEN_UP[name])
    found = [
        f"{path}:{text.count(chr(10), 0, match.start()) + 1}: {match[0]}"
        for path, text in TEXTS
        for match in pattern.finditer(text)
    ]
    assert found == []
