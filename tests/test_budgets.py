"""The size of things: files, functions, and what a folder's `__init__.py` may hold. Complexity is ruff's to check."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 50

FILES = sorted(path for folder in ("src", "tests", "bench") for path in (ROOT / folder).rglob("*.py"))
# The commands' folder is wired in its `__init__.py`: `logriver.cli:main` is the script.
FOLDERS = [path for path in FILES if path.name == "__init__.py" and "src" in path.parts and path.parent.name != "cli"]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_that_the_files_are_found() -> None:
    assert {"src/logriver/record.py", "tests/test_budgets.py"} <= set(map(name_of, FILES))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_file_is_too_long(path: Path) -> None:
    lines = len(path.read_text().splitlines())

    assert lines <= MAX_FILE_LINES, f"{name_of(path)} has {lines} lines"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_function_is_too_long(path: Path) -> None:
    sizes = {
        f"{function.name} in line {function.lineno}": (function.end_lineno or 0) - function.lineno + 1
        for function in functions(ast.parse(path.read_text()))
    }

    assert {name: size for name, size in sizes.items() if size > MAX_FUNCTION_LINES} == {}


@pytest.mark.parametrize("path", FOLDERS, ids=name_of)
def test_a_folder_begins_with_nothing_but_its_purpose(path: Path) -> None:
    purpose, *code = ast.parse(path.read_text()).body

    assert isinstance(purpose, ast.Expr)
    assert isinstance(purpose.value, ast.Constant)
    assert isinstance(purpose.value.value, str)
    if path.parent.name == "logriver":
        code = [line for line in code if not ast.unparse(line).startswith("__version__")]
    assert code == []


def test_every_folder_has_its_purpose() -> None:
    folders = {path.parent for path in FILES if "src" in path.parts}

    assert [name_of(folder) for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []
