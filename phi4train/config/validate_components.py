"""Checks the names of components and stages, and that every component comes from somewhere."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from phi4train.config.schema import Config
from phi4train.errors import did_you_mean, shortened
from phi4train.model.component_names import (
    FRESH,
    LANGUAGE_MODEL,
    LORA_PREFIX,
    family_of,
    known_components,
    known_sizes,
    layered_components,
)

MAX_ANCESTORS = 50
"""Most stages before a stage."""


def component_problems(
    config: Config, stages: Sequence[str], recipe: Callable[[str], Config]
) -> Iterator[str]:
    """Problems of names and of the stage graph; arguments as for `validate.find_problems`."""
    unknown = [parent for parent in config.parents if parent not in stages]
    for parent in unknown:
        yield f"parents must be stages · found '{parent}'{did_you_mean(parent, stages)} · correct the name"
    for stage in config.run.parents:
        if stage not in config.parents:
            yield (
                f"run.parents must name parents of this stage · found '{stage}'"
                f"{did_you_mean(stage, config.parents)} · correct the name"
            )
    yield from _name_problems(config)
    yield from _extra_problems(config.model.extra)
    if not config.trainable:
        yield "trainable must name at least one component · found none · name one"
    if unknown:
        return
    try:
        provided = _provided(config, recipe)
    except _Cycle as cycle:
        yield f"parents must not lead back to a stage · found {cycle} · remove one of these parents"
        return
    except _TooManyAncestors:
        yield too_many_ancestors(config.stage)
        return
    for name in sorted(provided - {*known_components()}):
        yield (
            f"the component {name} comes from a parent, and must be known here too · found no module that "
            "registers it · add to imports what the parent's recipe imports"
        )
    yield from _origin_problems(config, provided)


def too_many_ancestors(stage: str) -> str:
    """The problem of a stage with more than MAX_ANCESTORS stages before it."""
    return (
        f"a stage must have at most {MAX_ANCESTORS} stages before it · found more before '{stage}' · "
        "start from an artifact with init instead of from a stage"
    )


class _Cycle(Exception):
    """The stages of a circle, in order."""


class _TooManyAncestors(Exception):
    pass


def _name_problems(config: Config) -> Iterator[str]:
    known = sorted(known_components())
    adapters = [name.removeprefix(LORA_PREFIX) for name in known if name.startswith(LORA_PREFIX)]
    for adapter in config.model.lora:
        if adapter not in adapters:
            yield (
                f"model.lora must name known adapters · found '{adapter}'{did_you_mean(adapter, adapters)} · "
                "correct the name"
            )
    places: dict[str, Iterable[str]] = {
        "trainable": config.trainable,
        "init": config.init,
        "optimizer.lr_multipliers": config.optimizer.lr_multipliers,
        "hardware.activation_checkpointing": config.hardware.activation_checkpointing,
    }
    for key, names in places.items():
        for name in names:
            if name not in known:
                hint = did_you_mean(name, known)
                yield f"{key} must name components · found '{name}'{hint} · correct the name"
            elif name.startswith(LORA_PREFIX) and name.removeprefix(LORA_PREFIX) not in config.model.lora:
                adapter = name.removeprefix(LORA_PREFIX)
                yield (
                    f"{key} must name adapters of model.lora · found '{name}'"
                    f"{did_you_mean(adapter, config.model.lora)} · correct the name, or give its size there"
                )
    layered = layered_components()
    for name in config.hardware.activation_checkpointing:
        if name in known and name not in layered:
            yield (
                "hardware.activation_checkpointing must name components with layers, "
                f"{' or '.join(layered)} · found '{name}' · remove it"
            )
    for name in config.optimizer.lr_multipliers:
        if name in known and name not in config.trainable:
            yield (
                f"optimizer.lr_multipliers must name trainable components · found '{name}', which is frozen "
                "· remove it"
            )
    if len(set(config.trainable)) < len(config.trainable):
        found = shortened(config.trainable)
        yield f"trainable must name each component once · found {found} · remove the second"


def _extra_problems(extra: Mapping[str, float]) -> Iterator[str]:
    sizes = known_sizes()
    for key, value in extra.items():
        if key not in sizes:
            hint = did_you_mean(key, sizes) if sizes else ", and imports that add none"
            yield (
                f"model.extra must name sizes of components that imports add · found '{key}'{hint} · "
                "correct the name, or import what adds it"
            )
        elif isinstance(sizes[key], int) and value != int(value):
            yield f"model.extra.{key} must be a whole number · found {value} · round it"


def _provided(config: Config, recipe: Callable[[str], Config]) -> set[str]:
    """Components that the parents and their ancestors hand on.

    Raises:
        _Cycle: a stage is its own ancestor.
        _TooManyAncestors: composing them all would take minutes.
    """
    found: set[str] = set()
    finished: set[str] = set()

    def visit(stage: str, path: tuple[str, ...]) -> None:
        if stage in path:
            raise _Cycle(" -> ".join([*path, stage]))
        if stage in finished:
            return
        if len(finished) + len(path) > MAX_ANCESTORS:
            raise _TooManyAncestors
        ancestor = recipe(stage)
        found.update(ancestor.trainable, ancestor.init)
        for parent in ancestor.parents:
            visit(parent, (*path, stage))
        finished.add(stage)

    for parent in config.parents:
        visit(parent, (config.stage,))
    return found


def _origin_problems(config: Config, provided: set[str]) -> Iterator[str]:
    for name in config.trainable:
        if name in known_components() and name not in provided and name not in config.init:
            yield (
                f"the trainable component {name} must come from a parent or from init · found in neither · "
                f"add a parent that trains it, or init: {{{name}: fresh}}"
            )
    for name, value in config.init.items():
        if name in provided:
            yield (
                f"init must name components that no parent provides · found '{name}', which one hands on · "
                f"remove it, or drop what a recipe inherits with init: {{{name}: null}}; "
                "to start from another artifact, set run.parents.<stage>=<folder>"
            )
        yield from _init_problems(config, name, value, provided)
    if LANGUAGE_MODEL not in provided and LANGUAGE_MODEL not in config.init:
        yield (
            f"every run needs the component {LANGUAGE_MODEL} from a parent or from init · found in neither · "
            f"add a parent that has it, or init: {{{LANGUAGE_MODEL}: {FRESH}}}"
        )


def _init_problems(config: Config, name: str, value: str, provided: set[str]) -> Iterator[str]:
    """Problems of where a component starts from: `fresh`, a component to be copied, or an artifact folder."""
    known = sorted(known_components())
    if value == FRESH:
        return
    if value not in known:
        if "/" not in value and not Path(value).is_dir():
            yield (
                f"init.{name} must be {FRESH}, a component of a parent, or an artifact folder · "
                f"found '{value}'{did_you_mean(value, [FRESH, *known])} · correct it"
            )
    elif value not in provided:
        yield (
            f"init.{name} must copy a component that a parent hands on · found '{value}', which none does · "
            f"add a parent that has it, or write {FRESH}"
        )
    elif name in known and _tensor_shapes(config, name) != _tensor_shapes(config, value):
        yield (
            f"init.{name} must copy a component with tensors of the same shapes · found '{value}' · "
            f"write {FRESH}"
        )


def _tensor_shapes(config: Config, component: str) -> tuple[str, int]:
    """What decides the shapes of a component's tensors, besides sizes that all share."""
    adapter = component.removeprefix(LORA_PREFIX)
    rank = config.model.lora[adapter].r if adapter in config.model.lora and adapter != component else 0
    return family_of(component), rank
