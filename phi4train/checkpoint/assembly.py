"""Puts a model together from artifacts: each component from the nearest ancestor that trained it."""

from collections.abc import Collection, Mapping
from pathlib import Path

from phi4train.checkpoint.artifact import (
    Artifact,
    all_components,
    find_component,
    load_component,
    open_artifact,
)
from phi4train.errors import ConfigError
from phi4train.model.components import build_model, load_state
from phi4train.model.phi4 import Phi4Model
from phi4train.model.routing import RoutingRule
from phi4train.model.shapes import ModelShape

FRESH = "fresh"


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
        init: components that no artifact provides: `fresh`, or the artifact folder to take them from.
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
        f"each trainable component needs a source: `{name}` is in no parent artifact; "
        f"add `init.{name}=fresh`, or the folder of an artifact that holds it"
        for name in sorted(set(trainable) - inherited - init.keys())
    ]
    problems += [
        f"`init` may only name components that no parent provides: `{name}` comes from a parent; "
        f"remove `init.{name}` so that its training is not thrown away"
        for name in sorted(inherited & init.keys())
    ]
    if problems:
        raise ConfigError(problems)
    components = inherited | init.keys()
    model = build_model(shape, components, seed)
    model.routing_rule = routing
    origins = {}
    for component in components:
        source = _source(component, artifacts, init)
        if source is None:
            origins[component] = f"fresh, seed {seed}"
        else:
            load_state(model, component, load_component(source, component))
            origins[component] = f"{source.lineage.stage} {source.lineage.identity[:12]}"
    return model, origins


def _source(component: str, artifacts: Mapping[str, Artifact], init: Mapping[str, str]) -> Artifact | None:
    """The artifact that a component is taken from; None: fresh."""
    if component not in init:
        return find_component(artifacts, component)
    if init[component] == FRESH:
        return None
    given = open_initial(init)[component]
    holder = find_component({given.lineage.stage: given}, component)
    if holder is None:
        raise ConfigError(
            f"init.{component} must be the folder of an artifact that holds {component}: neither "
            f"{given.path} nor an ancestor does. Name another artifact, or `fresh`."
        )
    return holder


def open_initial(init: Mapping[str, str]) -> dict[str, Artifact]:
    """The artifacts that `init` takes components from, by component.

    Raises:
        CheckpointError: one is missing or damaged.
    """
    return {
        component: open_artifact(Path(folder), needed_by=f"init.{component}")
        for component, folder in init.items()
        if folder != FRESH
    }
