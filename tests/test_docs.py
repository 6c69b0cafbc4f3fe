"""The documents say what the code does: settings, commands, links; and nothing that belongs to one machine.

`python tests/test_docs.py` writes docs/reference/settings.md anew.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from logriver.settings import ENV_PREFIX, Settings, SourceTable

ROOT = Path(__file__).parent.parent
SETTINGS = ROOT / "docs" / "reference" / "settings.md"
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])

SETTINGS_HEAD = """# Settings

Each can be given as a command's flag where the command has it, as an environment variable, or as a key of a config file
(TOML) that `--config` or `LOGRIVER_CONFIG` names. The first of these that is there wins, then the default. Sizes are
bytes, times are seconds. A list in an environment variable is JSON: `LOGRIVER_FOLLOW='["json=/var/log/app.log"]'`. A
name that is no setting is an error that names the nearest one, and so is a config file that is not there.

| key | environment | default | meaning |
|---|---|---|---|
"""

# Folders that tools and tests make, and files that come from elsewhere.
NOT_OURS = {".git", ".venv", "__pycache__", "docs_assets", "dist", "build", "demo-data"}
TOOL_FOLDER = re.compile(r"\.\w+_cache|\.hypothesis|.*\.egg-info")
# Written in pieces, so that this file passes its own test.
FOREIGN = re.compile(
    "|".join(
        (
            r"(?:pypi|npmjs|pythonhosted)\." + "org",
            r"/(?:root|work)" + r"/\w",
            r"\.\." + "/shared",
            "co-authored" + "-by",
        )
    ),
    re.IGNORECASE,
)


SOURCES_HEAD = """
## A table of `sources`

In the config file each is a `[[sources]]` ([formats.md](formats.md), [following.md](following.md)); in the environment
`sources` is a list of JSON objects, and `formats` an object.

| key | meaning |
|---|---|
"""


def settings_document() -> str:
    """docs/reference/settings.md as settings.py has it."""
    settings = "".join(f"{setting_row(name)}\n" for name in Settings.model_fields)
    return SETTINGS_HEAD + settings + SOURCES_HEAD + "".join(map(source_row, SourceTable.model_fields))


def source_row(name: str) -> str:
    return f"| `{name}` | {SourceTable.model_fields[name].description} |\n"


def setting_row(name: str) -> str:
    field = Settings.model_fields[name]
    variables = [f"{ENV_PREFIX}{name}".upper()]
    choices = getattr(field.validation_alias, "choices", [])
    variables += [choice for choice in choices if choice.isupper() and choice not in variables]
    named = ", ".join(f"`{variable}`" for variable in variables)
    return f"| `{name}` | {named} | {default_of(name)} | {field.description} |"


def default_of(name: str) -> str:
    default = Settings.model_fields[name].default
    if name == "data":
        return "`~/.local/share/logriver`"
    if default in (None, "", [], {}) or not str(default):
        return ""
    if isinstance(default, list):
        return ", ".join(f"`{value}`" for value in default)
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return f"`{default}`"


def our_files() -> list[Path]:
    """Every file of the repository, but for what tools make and what is vendored."""
    found: list[Path] = []
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in NOT_OURS and not TOOL_FOLDER.fullmatch(name)]
        found += [Path(folder, name) for name in files if name not in NOT_OURS]
    return found


def examples(document: Path) -> list[str]:
    """The lines of a document's shell blocks; a line that goes on is one."""
    blocks: list[str] = re.findall(r"```sh\n(.*?)```", document.read_text(), re.DOTALL)
    return "\n".join(blocks).replace("\\\n", " ").splitlines()


def test_the_settings_document_is_the_settings() -> None:
    assert SETTINGS.read_text() == settings_document()


def test_every_make_target_in_the_documents_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {target for document in DOCUMENTS for target in re.findall(r"`make ([a-z]+)", document.read_text())}
    named |= {line.split()[1] for document in DOCUMENTS for line in examples(document) if line.startswith("make ")}

    assert {"demo", "test"} <= named
    assert named - targets == set()


@pytest.mark.parametrize("line", [line for line in examples(ROOT / "README.md") if "logriver " in line])
def test_every_command_in_the_readme_exists_with_its_flags(line: str) -> None:
    command, *flags = re.findall(r"^[a-z]+|(?<= )--[a-z-]+", line.partition("logriver ")[2])

    ran = subprocess.run(
        [sys.executable, "-m", "logriver", command, "--help"],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | {"COLUMNS": "200", "NO_COLOR": "1"},
    )

    assert ran.returncode == 0, ran.stderr
    assert [flag for flag in flags if not re.search(rf"{flag}\b", ran.stdout)] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text())

    assert [link for link in links if not (document.parent / link).exists()] == []


def test_the_map_names_every_folder() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    folders = [path.name for path in (ROOT / "src" / "logriver").iterdir() if (path / "__init__.py").exists()]

    assert folders
    assert [folder for folder in folders if f"(src/logriver/{folder}/)" not in text] == []


def test_every_path_that_the_map_names_exists() -> None:
    """Paths stand in backticks, below `src/logriver/` or the root; a folder that is yet to come is named as such."""
    named = re.findall(r"`([\w./-]+(?:\.py|\.js|\.md|\.toml|\.lark|/))`", (ROOT / "ARCHITECTURE.md").read_text())
    to_come = {"alerts/"}
    parts = {
        "json/",
        "lines/",
        "time/",
        "wire/",
        "tables/",
        "language/",
        "pipes/",
        "sql/",
        "match/",
        "usersql/",
        "hints/",
    }
    parts |= {"commands/", "render/", "pipe.py", "registry.py"}
    places = (ROOT / "src" / "logriver", ROOT)

    assert len(named) > 50
    missing = [name for name in named if not any((place / name).exists() for place in places)]
    assert sorted({*missing} - to_come - parts - {"log/", "store/"}) == []


def test_the_map_is_a_page() -> None:
    assert len((ROOT / "ARCHITECTURE.md").read_text().splitlines()) <= 150


def test_nothing_belongs_to_one_machine() -> None:
    found = {
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path in our_files()
        for match in FOREIGN.finditer(path.read_text(errors="replace"))
    }

    assert found == set()


if __name__ == "__main__":
    SETTINGS.write_text(settings_document())
