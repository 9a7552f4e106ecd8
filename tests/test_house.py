"""Rules of the house that neither the linter nor the types can state."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_requirements import imported_modules

ROOT = Path(__file__).parents[1]
PACKAGES = ("recsys", "features", "training", "serving")
MODULES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
SERVED = [path for path in MODULES if path.relative_to(ROOT).parts[0] != "training"]
TRAINING_FRAMEWORKS = {"torch", "transformers", "sentence_transformers"}
PICKLERS = {"pickle", "joblib", "dill", "cloudpickle", "shelve", "marshal"}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", SERVED, ids=name_of)
def test_what_serves_imports_no_training_framework(path: Path):
    assert not {module.partition(".")[0] for module in imported_modules(path)} & TRAINING_FRAMEWORKS


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_nothing_is_pickled(path: Path):
    text = path.read_text("utf-8")
    assert not {module.partition(".")[0] for module in imported_modules(path)} & PICKLERS
    assert not [call for call in ("torch.save(", "torch.load(", "allow_pickle=True") if call in text]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_every_module_says_what_it_is_for(path: Path):
    assert ast.get_docstring(ast.parse(path.read_text("utf-8")))


def test_the_command_line_starts_without_a_training_framework():
    code = (
        "import sys; from recsys.cli import recsys; recsys(['--version'], standalone_mode=False); "
        f"print(sorted({TRAINING_FRAMEWORKS!r} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert run.stdout.splitlines()[-1] == "[]"
