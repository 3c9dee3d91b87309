"""Rules of the code base as a whole: who imports whom, and what stays out of sight."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "phi4train"

MAY_IMPORT = {
    "errors": set(),
    "batch": set(),
    "model": {"batch", "errors"},
    "objectives": {"batch", "errors"},
    "data": {"batch", "errors"},
    "demo": {"data", "errors"},
    "config": {"model", "data", "errors"},
    "checkpoint": {"model", "data", "objectives", "batch", "errors"},
    "evaluation": {"checkpoint", "model", "data", "objectives", "batch", "errors"},
    "training": {"evaluation", "checkpoint", "config", "model", "data", "objectives", "batch", "errors"},
    "curriculum": {"training", "evaluation", "checkpoint", "config", "data", "errors"},
}
"""By part of the package, what it may import; the command line may import everything."""

CONFIG_MAY_IMPORT = {
    *("phi4train.model.shapes", "phi4train.model.component_names"),
    *("phi4train.data.commands", "phi4train.data.manifest"),
}
"""Modules without torch, so that a typo is told at once."""


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if "_bundled" not in path.parts)


def part_of(path: Path) -> str:
    relative = path.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield node.module or ""


def importers_of(*libraries: str) -> set[str]:
    return {part_of(path) for path in modules() for name in imports(path) if name.split(".")[0] in libraries}


def is_command_line(part: str) -> bool:
    return part == "__main__" or part == "cli" or part.startswith("cli_")


def test_imports_point_down() -> None:
    wrong = []
    for path in modules():
        part = part_of(path)
        if part == "__init__" or is_command_line(part):
            continue
        inner = {name.split(".")[1] for name in imports(path) if name.startswith("phi4train.")}
        wrong += [f"{path.relative_to(PACKAGE)} imports {name}" for name in inner - MAY_IMPORT[part] - {part}]
    assert wrong == []


def test_config_imports_only_modules_without_torch_from_below() -> None:
    found = {name for path in modules() if part_of(path) == "config" for name in imports(path)}
    below = {name for name in found if name.startswith(("phi4train.model", "phi4train.data"))}
    assert below <= CONFIG_MAY_IMPORT


def test_hydra_stays_in_the_command_line_and_config() -> None:
    assert {part for part in importers_of("hydra", "omegaconf") if not is_command_line(part)} == {"config"}


def test_lightning_stays_in_training() -> None:
    assert importers_of("lightning", "pytorch_lightning") == {"training"}


@pytest.mark.parametrize(
    "part", sorted(path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists())
)
def test_a_package_describes_itself_and_imports_nothing(part: str) -> None:
    (docstring,) = ast.parse((PACKAGE / part / "__init__.py").read_text()).body
    assert isinstance(docstring, ast.Expr) and isinstance(docstring.value, ast.Constant)


@pytest.mark.parametrize(
    "module",
    ["phi4train.cli", "phi4train.config.load", "phi4train.config.fingerprint", "phi4train.data.manifest"],
)
def test_these_import_no_heavy_library(module: str) -> None:
    heavy = ("torch", "lightning", "transformers", "numpy", "peft", "rich")
    code = f"import sys, {module}; print([name for name in {heavy} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_the_command_line_imports_hydra_only_when_it_composes() -> None:
    code = "import sys, phi4train.cli; print('hydra' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"


def test_no_module_is_a_drawer_for_everything() -> None:
    drawers = {"utils", "helpers", "common", "misc", "tools"}
    assert not drawers & {path.stem for path in modules()}


def test_files_are_short() -> None:
    long = {path.name: lines for path in modules() if (lines := path.read_text().count("\n")) > 400}
    assert long == {}


def test_nothing_is_unpickled() -> None:
    unsafe = ["weights_only" + "=False", "pickle" + ".load", "allow_pickle" + "=True"]
    found = [f"{path.name}: {text}" for path in modules() for text in unsafe if text in path.read_text()]
    assert found == []
