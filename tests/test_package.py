"""The wheel holds everything that is served, and the base of the package works without the engine."""

import subprocess
import sys
import zipfile
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "logriver"
SCRIPT = "[console_scripts]\nlogriver = logriver.cli:main"

# Put in front, this makes whatever the base package does not require fail to import, as where it is not installed.
BASE_ALONE = """
import importlib.abc, pkgutil, runpy, sys

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in {absent!r}:
            raise ModuleNotFoundError("not in the base package: " + name, name=name)

sys.meta_path.insert(0, Absent())
"""
BASE = (
    "agent",
    "clock",
    "columns",
    "errors",
    "metrics",
    "record",
    "settings",
    "cli",
    "follow",
    "generate",
    "decode",
    "ship",
    "telemetry",
)
IMPORT_BASE = f"""
for name in {BASE!r}:
    module = importlib.import_module("logriver." + name)
    for found in pkgutil.walk_packages(getattr(module, "__path__", []), module.__name__ + "."):
        importlib.import_module(found.name)
print(*sorted(name for name in sys.modules if name.startswith("logriver")))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (path,) = folder.glob("logriver-*.whl")
    return zipfile.ZipFile(path)


def metadata(wheel: zipfile.ZipFile, name: str) -> str:
    (path,) = (path for path in wheel.namelist() if path.endswith(f".dist-info/{name}"))
    return wheel.read(path).decode()


def base_distributions() -> set[str]:
    """What a plain `pip install logriver` installs, by normalised name."""
    found: set[str] = set()
    waiting = [Requirement("logriver")]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name in found:
            continue
        found.add(name)
        needs = map(Requirement, requires(name) or [])
        waiting += [need for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]
    return found


def absent_modules() -> set[str]:
    """The modules of this environment that a plain `pip install logriver` would not bring."""
    base = base_distributions()
    return {
        module
        for module, distributions in packages_distributions().items()
        if base.isdisjoint(map(canonicalize_name, distributions))
    }


def run_base_alone(code: str) -> subprocess.CompletedProcess[str]:
    preamble = BASE_ALONE.replace("{absent!r}", repr(absent_modules()))
    return subprocess.run(
        [sys.executable, "-c", preamble + code], cwd=ROOT, check=False, capture_output=True, text=True
    )


def test_the_wheel_holds_every_module_and_every_asset(wheel: zipfile.ZipFile) -> None:
    expected = {
        str(path.relative_to(ROOT / "src"))
        for path in SOURCE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }

    held = {name for name in wheel.namelist() if ".dist-info/" not in name}

    assert "logriver/api/docs_assets/swagger-ui-bundle.js" in expected
    assert "logriver/py.typed" in held
    assert held == expected


def test_the_wheel_holds_the_licences_and_the_command(wheel: zipfile.ZipFile) -> None:
    licences = {name.partition("/licenses/")[2] for name in wheel.namelist() if "/licenses/" in name}
    assets = "src/logriver/api/docs_assets"

    vendored = {f"src/logriver/ui/vendor/{name}.LICENSE" for name in ("htm", "preact", "uplot")}
    assert licences == {"LICENSE", f"{assets}/LICENSE", f"{assets}/NOTICE"} | vendored
    assert SCRIPT in metadata(wheel, "entry_points.txt")


def test_the_engine_comes_only_with_the_server(wheel: zipfile.ZipFile) -> None:
    required = [line for line in metadata(wheel, "METADATA").splitlines() if line.startswith("Requires-Dist:")]
    server = {line.split()[1].partition("=")[0] for line in required if "extra == 'server'" in line}
    base = [line for line in required if "extra ==" not in line]

    assert "chdb-core" in server
    assert base
    assert not any(name in line for line in base for name in ("chdb", "fastapi", "uvicorn"))


def test_the_engine_is_absent_from_the_base() -> None:
    assert {"chdb", "fastapi", "uvicorn", "pytest"} <= absent_modules()
    assert absent_modules().isdisjoint({"logriver", "httpx", "msgspec", "typer"})


def test_the_base_imports_without_the_engine() -> None:
    ran = run_base_alone("import importlib\n" + IMPORT_BASE)

    assert ran.returncode == 0, ran.stderr
    assert "logriver.cli logriver." in ran.stdout
    assert "logriver.store" not in ran.stdout


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["send", "--help"], ["search", "--help"]], ids=" ".join
)
def test_the_commands_answer_without_the_engine(arguments: list[str]) -> None:
    ran = run_base_alone(
        f"sys.argv = ['logriver', *{arguments!r}]\nrunpy.run_module('logriver', run_name='__main__', alter_sys=True)"
    )

    assert ran.returncode == 0, ran.stderr
    assert ran.stdout


def test_the_lock_pins_everything_by_hash_and_names_no_host() -> None:
    text = (ROOT / "requirements.lock").read_text()
    pins = [line for line in text.splitlines() if line and line[0] not in "# "]

    assert pins
    assert all("==" in pin for pin in pins)
    assert text.count("    --hash=sha256:") >= len(pins)
    assert "://" not in text
    assert "--index-url" not in text
