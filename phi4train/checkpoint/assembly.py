"""Puts a model together from artifacts: each component from the nearest ancestor that trained it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from phi4train.checkpoint.artifact import (
    Artifact,
    all_components,
    find_component,
    load_component,
    open_artifact,
)
from phi4train.errors import ConfigError
from phi4train.model.component_names import FRESH
from phi4train.model.components import build_model, component_names, load_state
from phi4train.model.phi4 import Phi4Model
from phi4train.model.routing import RoutingRule
from phi4train.model.shapes import ModelShape


def assemble_model(
    shape: ModelShape,
    artifacts: Mapping[str, Artifact],
    trainable: Collection[str] = (),
    init: Mapping[str, str] | None = None,
    seed: int = 0,
    routing: RoutingRule = "sample",
) -> tuple[Phi4Model, dict[str, str]]:
    """A model with all components of the artifacts and their ancestors, and those that `init` names.

    Args:
        shape: sizes; must be those of the artifacts.
        artifacts: parents by stage.
        trainable: components that must exist in the model.
        init: components that no artifact provides: `fresh`, the component of an artifact to copy, or the
            artifact folder to take them from.
        seed: of fresh components.
        routing: which tokens a sample's adapter applies to.

    Returns:
        The model on the CPU, and for each component a line that says where its values come from.

    Raises:
        ConfigError: a trainable component has no source, or a parent already provides one that `init` names.
        CheckpointError: an artifact is missing, damaged or of another size.
    """
    init = init or {}
    inherited = all_components(artifacts)
    problems = [
        f"the trainable component {name} must come from a parent or from init · found in neither · "
        f"add init.{name}={FRESH}, or init.{name}=<folder of an artifact that holds it>"
        for name in sorted(set(trainable) - inherited - init.keys())
    ]
    problems += [
        f"init must name components that no parent provides · found '{name}', which one hands on · "
        f"remove init.{name}, so that its training is not thrown away"
        for name in sorted(inherited & init.keys())
    ]
    if problems:
        raise ConfigError(problems)
    given = open_initial(init, artifacts)
    components = inherited | init.keys()
    model = build_model(shape, components, seed)
    model.routing_rule = routing
    origins = {}
    for component in components:
        if init.get(component) == FRESH:
            origins[component] = f"fresh, seed {seed}"
            continue
        source = given[component] if component in init else _inherited(component, artifacts)
        load_state(model, component, load_component(source.artifact, source.component))
        origins[component] = source.describe(component)
    return model, origins


@dataclass(frozen=True)
class ComponentSource:
    """Where a component's values come from.

    Args:
        artifact: one that itself holds `component`.
        component: another one's name when its values are copied.
    """

    artifact: Artifact
    component: str

    def describe(self, component: str) -> str:
        """A line about the values of `component`."""
        lineage = self.artifact.lineage
        place = f"{lineage.stage} {lineage.identity[:12]}"
        return place if component == self.component else f"copy of {self.component} from {place}"


def open_initial(init: Mapping[str, str], artifacts: Mapping[str, Artifact]) -> dict[str, ComponentSource]:
    """Where `init` takes components from, by component; fresh ones are left out.

    Args:
        artifacts: parents by stage, whose components may be copied.

    Raises:
        ConfigError: an artifact does not hold the component.
        CheckpointError: an artifact is missing or damaged.
    """
    return {
        component: _copied(component, value, artifacts)
        if value in component_names()
        else _given(component, Path(value))
        for component, value in init.items()
        if value != FRESH
    }


def _inherited(component: str, artifacts: Mapping[str, Artifact]) -> ComponentSource:
    holder = find_component(artifacts, component)
    assert holder is not None, f"{component} is one of all_components"
    return ComponentSource(holder, component)


def _copied(component: str, original: str, artifacts: Mapping[str, Artifact]) -> ComponentSource:
    holder = find_component(artifacts, original)
    if holder is None:
        raise ConfigError(
            f"init.{component} must copy a component that a parent hands on · found '{original}', which none "
            f"does · add a parent that has it, or name an artifact folder, or {FRESH}"
        )
    return ComponentSource(holder, original)


def _given(component: str, folder: Path) -> ComponentSource:
    artifact = open_artifact(folder, needed_by=f"init.{component}")
    holder = find_component({artifact.lineage.stage: artifact}, component)
    if holder is None:
        raise ConfigError(
            f"init.{component} must be the folder of an artifact that holds {component}, or has an ancestor "
            f"that does · found neither in {folder} · name another artifact, or {FRESH}"
        )
    return ComponentSource(holder, component)
