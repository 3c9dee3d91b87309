"""Rules of the code base as a whole: who imports whom, and what stays out of sight."""

import ast
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "phi4train"

FLOORS = (
    ("__main__",),
    ("cli",),
    ("curriculum", "sweeping", "report"),
    ("training",),
    ("rollout", "serving"),
    ("evaluation",),
    ("run", "planning"),
    ("checkpoint", "config", "demo"),
    ("modality",),
    ("data", "model"),
    ("objectives",),
    ("batch", "files", "modes", "plain_text", "ranks"),
    ("yaml_files",),
    ("command_lines", "errors", "os_errors", "ranges", "visible"),
)
"""The parts of the package from the top down: each may import what stands on lower floors, none its own."""

INNER_FLOORS = {
    "data": ("inspection", "batches", "order", "shards", "samples", "media", "commands"),
    "demo": ("build", "families", "speech", ("images", "text"), "samples"),
    "evaluation": ("stage", "held_out", "metrics"),
    "training": (
        "stage",
        "stage_run",
        "watching",
        "module",
        "gradients",
        "micro_batch",
        "losses",
        "optimizer",
    ),
}
"""Likewise inside a part, for its folders; files that are not named import each other without a circle."""

CONFIG_MAY_IMPORT = {
    *("phi4train.model.shapes", "phi4train.model.component_names"),
    *("phi4train.data.commands", "phi4train.data.shards.manifest", "phi4train.data.media.spec_augment"),
}
"""Modules without torch, so that a typo is told at once."""


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if "_bundled" not in path.parts)


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


def part_of(path: Path) -> str:
    relative = path.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def imports(path: Path) -> Iterator[str]:
    """Names of imported modules, also of those that are imported in functions or for types alone."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield from _submodules(node) or [node.module or ""]


def _submodules(node: ast.ImportFrom) -> list[str]:
    """The modules among the names of `from package import a, b`."""
    folder = PACKAGE.parent / (node.module or "").replace(".", "/")
    names = [alias.name for alias in node.names]
    return [f"{node.module}.{name}" for name in names if (folder / f"{name}.py").is_file()]


@cache
def arrows() -> dict[str, set[str]]:
    """By module of the package, the modules of the package that it imports."""
    known = {module_name(path): path for path in modules()}
    return {name: {*imports(path)} & known.keys() - {name} for name, path in known.items()}


def floors_of(floors: Sequence[str | tuple[str, ...]]) -> dict[str, int]:
    """Number of the floor of each name, counted from the top."""
    return {
        name: number
        for number, floor in enumerate(floors)
        for name in (floor if isinstance(floor, tuple) else (floor,))
    }


def importers_of(*libraries: str) -> set[str]:
    return {part_of(path) for path in modules() for name in imports(path) if name.split(".")[0] in libraries}


def test_imports_point_down() -> None:
    floor = floors_of(FLOORS)
    wrong = [
        f"{name} imports {other}"
        for name, others in arrows().items()
        for other in others
        if (own := name.split(".")[1:2]) and (part := other.split(".")[1:2])
        if own != part and floor[own[0]] >= floor[part[0]]
    ]
    assert wrong == []


@pytest.mark.parametrize("part", INNER_FLOORS)
def test_imports_point_down_inside_a_part(part: str) -> None:
    floor = floors_of(INNER_FLOORS[part])
    wrong = []
    for name, others in arrows().items():
        for other in others:
            (_, *own), (_, *its) = name.split("."), other.split(".")
            if own[:1] == its[:1] == [part] and own[1] != its[1] and {own[1], its[1]} <= floor.keys():
                wrong += [f"{name} imports {other}"] if floor[own[1]] >= floor[its[1]] else []
    assert wrong == []


def test_every_part_has_a_floor_and_every_folder_of_a_part_with_floors_too() -> None:
    floor = floors_of(FLOORS)
    assert {part_of(path) for path in modules()} - {"__init__"} <= floor.keys()
    for part, floors in INNER_FLOORS.items():
        folders = {path.name for path in (PACKAGE / part).iterdir() if (path / "__init__.py").exists()}
        assert folders <= floors_of(floors).keys(), part


def test_no_imports_run_in_a_circle() -> None:
    try:
        TopologicalSorter(arrows()).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_config_imports_only_modules_without_torch_from_below() -> None:
    found = {name for path in modules() if part_of(path) == "config" for name in imports(path)}
    below = {name for name in found if name.startswith(("phi4train.model", "phi4train.data"))}
    assert below <= CONFIG_MAY_IMPORT


def test_validation_names_no_component_of_a_modality() -> None:
    from phi4train.model.component_names import COMPONENT_NAMES, LANGUAGE_MODEL

    own = {*COMPONENT_NAMES} - {LANGUAGE_MODEL}
    constants = {
        "VISION_ENCODER",
        "VISION_PROJECTOR",
        "AUDIO_ENCODER",
        "AUDIO_PROJECTOR_PREFIX",
        "COMPONENT_NAMES",
    }
    for path in (PACKAGE / "config").glob("*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text())))
        assert not own & {node.value for node in nodes if isinstance(node, ast.Constant)}, path.name
        assert not constants & {node.name for node in nodes if isinstance(node, ast.alias)}, path.name


def test_a_modality_is_added_through_one_door() -> None:
    """What `phi4train.modality` composes is called by nothing else, nor by an example."""
    inner = {"add_media_kind", "add_component", "add_mode", "add_adapter_of_kind", "add_component_facts"}
    homes = {"modality.py", "registry.py", "components.py", "component_names.py", "modes.py"}
    outside = [path for path in modules() if path.name not in homes]
    outside += (PACKAGE.parent / "examples").rglob("*.py")
    called = {
        f"{path.name}: {node.id}"
        for path in outside
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Name) and node.id in inner
    }
    assert called == set()


def test_hydra_stays_in_the_command_line_and_config() -> None:
    assert importers_of("hydra", "omegaconf") == {"cli", "config"}


def test_verbs_about_data_and_artifacts_need_no_training() -> None:
    verbs = [name for name in arrows() if name.startswith("phi4train.cli.data.")]
    verbs += ["phi4train.cli.evaluate", "phi4train.cli.lineage"]
    found = {other for name in verbs for other in arrows()[name] if other.startswith("phi4train.training")}
    assert len(verbs) > 5 and found == set()


def test_lightning_stays_in_training() -> None:
    assert importers_of("lightning", "pytorch_lightning") == {"training"}


@pytest.mark.parametrize(
    "folder", sorted(str(path.parent.relative_to(PACKAGE)) for path in PACKAGE.glob("*/**/__init__.py"))
)
def test_a_package_describes_itself_and_imports_nothing(folder: str) -> None:
    (docstring,) = ast.parse((PACKAGE / folder / "__init__.py").read_text()).body
    assert isinstance(docstring, ast.Expr) and isinstance(docstring.value, ast.Constant)


@pytest.mark.parametrize(
    "module",
    [
        "phi4train.cli.main",
        "phi4train.config.load",
        "phi4train.config.fingerprint",
        "phi4train.data.shards.manifest",
    ],
)
def test_these_import_no_heavy_library(module: str) -> None:
    heavy = ("torch", "lightning", "transformers", "numpy", "peft", "rich")
    code = f"import sys, {module}; print([name for name in {heavy} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_the_command_line_imports_hydra_only_when_it_composes() -> None:
    code = "import sys, phi4train.cli.main; print('hydra' in sys.modules)"
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
