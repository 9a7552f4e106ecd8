"""The pinned requirements and pyproject.toml say the same."""

import ast
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
FILES = {
    "requirements.txt": ["train", "dev"],
    "requirements/serve.txt": [],
    "requirements/gpu.txt": ["gpu"],
    "requirements/train.txt": ["train"],
}
OPTIONAL = ["tune", "tensorboard", "mlflow", "wandb"]
"""Extras of training that are imported only by who asks for them."""
LINUX = {"sys_platform": "linux", "platform_machine": "x86_64"}
OTHERS = [
    {"sys_platform": "darwin", "platform_machine": "arm64"},
    {"sys_platform": "linux", "platform_machine": "aarch64"},
]


def read_pins(file: str) -> list[Requirement]:
    lines = (ROOT / file).read_text("utf-8").splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def direct(extras: list[str]) -> list[Requirement]:
    return [
        Requirement(line) for line in [*PROJECT["dependencies"], *(line for extra in extras for line in EXTRAS[extra])]
    ]


def holds(requirement: Requirement, machine: dict[str, str]) -> bool:
    return requirement.marker is None or requirement.marker.evaluate(machine)


@pytest.mark.parametrize("file", FILES)
def test_every_line_is_one_exact_version(file: str):
    for pin in read_pins(file):
        assert [specifier.operator for specifier in pin.specifier] == ["=="], pin


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("machine", [LINUX, *OTHERS], ids=lambda machine: "-".join(machine.values()))
def test_every_direct_dependency_is_pinned_to_a_version_that_pyproject_allows(file: str, machine: dict[str, str]):
    pins = {canonicalize_name(pin.name): pin for pin in read_pins(file) if holds(pin, machine)}
    for wanted in direct(FILES[file]):
        if holds(wanted, machine):
            (specifier,) = pins[canonicalize_name(wanted.name)].specifier
            assert wanted.specifier.contains(specifier.version), f"{file}: {wanted} is pinned to {specifier.version}"


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("machine", [LINUX, *OTHERS], ids=lambda machine: "-".join(machine.values()))
def test_one_onnxruntime_is_pinned_never_two_that_write_into_the_same_folder(file: str, machine: dict[str, str]):
    runtimes = [pin.name for pin in read_pins(file) if pin.name.startswith("onnxruntime") and holds(pin, machine)]
    assert runtimes == ["onnxruntime-gpu" if machine == LINUX else "onnxruntime"]


def test_the_files_agree_on_every_version():
    versions = {(pin.name, str(pin.marker)): pin.specifier for pin in read_pins("requirements.txt")}
    for file in ("requirements/serve.txt", "requirements/train.txt"):
        for pin in read_pins(file):
            assert versions[pin.name, str(pin.marker)] == pin.specifier, file


def test_what_serves_is_installed_without_a_training_framework():
    for file in ("requirements/serve.txt", "requirements/gpu.txt"):
        assert not {pin.name for pin in read_pins(file)} & {"torch", "transformers", "sentence-transformers"}, file


@pytest.mark.parametrize(
    ("package", "extras"),
    [("recsys", []), ("features", ["redis"]), ("serving", ["otel", "redis"]), ("training", ["train", *OPTIONAL])],
)
def test_every_package_that_is_imported_is_a_direct_dependency(package: str, extras: list[str]):
    allowed = {canonicalize_name(requirement.name) for requirement in direct(extras)}
    distributions = packages_distributions()
    ours = {"recsys", "features", "serving", "training"}
    for path in sorted((ROOT / package).rglob("*.py")):
        for module in imported_modules(path):
            top = module.partition(".")[0]
            if top in sys.stdlib_module_names or top in ours:
                continue
            names = {canonicalize_name(name) for name in distributions.get(top, [top])}
            assert names & allowed, f"{path.relative_to(ROOT)} imports {module}, add {sorted(names)} to pyproject.toml"


def imported_modules(path: Path) -> list[str]:
    """The absolute modules that a file imports, wherever in it."""
    found = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.append(node.module)
    return found
