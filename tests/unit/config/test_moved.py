"""The table of moved names is true: what it names is at its new place, and no longer at the old."""

import ast
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from phi4train.config.moved import MODULES, NAMES, RENAMED, new_place
from tests.unit.test_architecture import PACKAGE

NOT_YET = "phi4train.modality"
"""What others build; entries that lead there hold as soon as it exists."""

ENTRIES = [
    *(
        (f"{old}.{name}", f"{new}.{name}")
        for old, by in NAMES.items()
        for new in by
        for name in by[new].split()
    ),
    *((old, new) for old, new in RENAMED.items() if not new.startswith(NOT_YET) or find_spec(NOT_YET)),
]
"""(old, new) of every name."""


def names_of(module: str) -> set[str]:
    """The names that a module defines; none where there is no such module."""
    path = PACKAGE.parent / module.replace(".", "/")
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return set(_defined(path)) if path.exists() else set()


def _defined(path: Path) -> Iterator[str]:
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (ast.unparse(target) for target in targets)


@pytest.mark.parametrize(("old", "new"), ENTRIES)
def test_a_moved_name_is_at_its_new_place_and_not_at_the_old(old: str, new: str) -> None:
    (old_module, _, old_name), (module, _, name) = old.rpartition("."), new.rpartition(".")
    assert name in names_of(module)
    assert old_name not in names_of(old_module)
    assert new_place(old_module, old_name) == (old, new)


@pytest.mark.parametrize("old", MODULES)
def test_a_moved_module_is_at_its_new_place_and_not_at_the_old(old: str) -> None:
    assert find_spec(MODULES[old]) and not find_spec(old)
    assert new_place(old) == new_place(old, "anything") == (old, MODULES[old])
    assert new_place(*old.rsplit(".", 1)) == (old, MODULES[old])
