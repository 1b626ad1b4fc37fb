"""The house rules that a review would otherwise repeat."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("app", "db", "metrics", "sandbox", "sync")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "manager", "common", "misc"}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_the_arrows_between_the_layers_hold() -> None:
    """import-linter finds no forbidden import, direct or indirect."""
    linter = Path(sys.executable).with_name("lint-imports")
    outcome = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


def test_nothing_is_called_utils() -> None:
    """No module or folder has a name that says nothing."""
    offenders = [name_of(path) for path in SOURCES if FORBIDDEN_NAMES & {path.stem, *(part for part in path.relative_to(ROOT).parts)}]
    assert offenders == []


def test_no_child_of_app_shadows_a_package() -> None:
    """`streamlit run app/main.py` puts app/ first on the path: a child of that name would silently shadow the real package."""
    children = {path.stem for path in (ROOT / "app").iterdir() if path.suffix == ".py" or path.is_dir()} - {"__pycache__", "__init__"}
    shadowing = children & (set(PACKAGES) | set(sys.stdlib_module_names))
    assert shadowing == set()


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_files_and_functions_stay_readable(path: Path) -> None:
    """A file has at most 400 lines, a function at most 70."""
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 400, "split the file by its reasons to exist"
    long = [
        f"{node.name}: {node.end_lineno - node.lineno + 1} lines"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno and node.end_lineno - node.lineno + 1 > 70
    ]
    assert long == []


def test_transactions_begin_and_end_at_one_place() -> None:
    """Only db/engine.py and the migrations call commit or begin on a connection."""
    pattern = re.compile(r"\.(commit|begin)\(\)")
    allowed = {"db/engine.py", "db/embedded.py"}
    offenders = [
        name_of(path)
        for path in SOURCES
        if name_of(path) not in allowed
        and not name_of(path).startswith(("db/migrations", "sandbox/"))
        and pattern.search(path.read_text(encoding="utf-8"))
    ]
    assert offenders == []


def test_no_machine_and_no_secret_in_the_tree() -> None:
    """What is committed names no path of one machine."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    pattern = re.compile(r"(?<![\w.])/(work|root|farm)/")
    offenders = []
    for name in listed:
        path = ROOT / name
        if name == "uv.lock" or path == Path(__file__) or not path.is_file() or path.suffix in {".png", ".ico"}:
            continue
        if pattern.search(path.read_text(encoding="utf-8", errors="replace")):
            offenders.append(name)
    assert offenders == []


def test_registered_systems_have_a_contract_of_imports() -> None:
    """Every system of the registry is named in the contract that keeps systems apart."""
    from sync.systems.registry import SYSTEMS

    declared = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert [kind.package for kind in SYSTEMS.values() if f'"{kind.package}"' not in declared] == []


def test_no_two_test_files_have_one_name() -> None:
    """Test folders are no packages: pytest refuses a second file of the same name."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted({name for name in names if names.count(name) > 1}) == []


@pytest.mark.xdist_group("kept-together")
def test_tests_that_belong_together_run_on_one_worker(request: pytest.FixtureRequest) -> None:
    """Where the tests are dealt out by groups, the runner has read the groups: some versions of it pass over them without a word."""
    dealt = getattr(request.config, "workerinput", {}).get("workerid") and request.config.getoption("loadgroup", default=False)
    assert not dealt or request.node.nodeid.endswith("@kept-together")
