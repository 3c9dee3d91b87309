"""Each default stands in one place: where the configuration gives one, the domain gives none."""

import ast
import dataclasses
from collections.abc import Iterator
from typing import Any

from phi4train.config.annotations import annotations_of, required
from phi4train.config.schema import Config
from phi4train.model.shapes import LoraShape
from tests.unit.test_architecture import modules

ANOTHER_MEANING = {
    "AudioKind.name": "what records call the kind, not the name of a run",
    "ImageKind.name": "what records call the kind, not the name of a run",
    "Catalog.config_dir": "what --config-dir says; the key holds it for the commands that messages name",
    "BatchSize.tokens": "size of a batch, not of the budget; None: it is given in samples",
    "Progress.tokens": "counts, from 0",
    "EvaluationData.max_samples": "None: all; the configuration says 0",
    "Source.max_audio_seconds": "None: the source has no longest clip of its own",
    "MixtureSource.max_audio_seconds": "None: the source has no longest clip of its own",
}
"""Fields of the domain with a default and the name of a key, and why they copy no default of a key."""


def schema_classes(cls: type) -> Iterator[type]:
    """The dataclasses that a configuration is made of."""
    yield cls
    for annotation in annotations_of(cls).values():
        inner: Any = required(annotation)
        if dataclasses.is_dataclass(inner):
            yield from schema_classes(inner)  # type: ignore[arg-type]


def defaults_of_the_domain(but: set[str]) -> Iterator[tuple[str, str]]:
    """(class, field) of every dataclass or named tuple of the package that gives a field a default."""
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and node.name not in but:
                declared = ast.unparse(ast.Tuple([*node.decorator_list, *node.bases]))
                if "dataclass" in declared or "NamedTuple" in declared:
                    fields = (item for item in node.body if isinstance(item, ast.AnnAssign))
                    yield from ((node.name, ast.unparse(item.target)) for item in fields if item.value)


def test_no_dataclass_of_the_domain_repeats_a_default_of_the_configuration() -> None:
    classes = {*schema_classes(Config), LoraShape}
    keys = {field.name for cls in classes for field in dataclasses.fields(cls)}
    found = {
        f"{cls}.{field}"
        for cls, field in defaults_of_the_domain({cls.__name__ for cls in classes})
        if field in keys
    }
    assert found == ANOTHER_MEANING.keys()
