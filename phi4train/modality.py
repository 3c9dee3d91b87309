"""The one public door for a new modality: what it is made of, declared in one value and registered at once.

    register_modality(
        Modality(
            kind=SensorKind(),                               media become inputs: data/media/kind.py
            components=(encoder, projector),                 inputs become tokens: model/components.py
            modes=(Mode("sensor", ("sensor",), "sensor"),),  samples choose their LoRA: modes.py
            adapter="sensor",                                and so do single slots: model/routing.py
        )
    )

A module that does so is named by a recipe (`imports: [my_modality]`); see `examples/sensor`.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from phi4train import modes
from phi4train.data.media.kind import MediaKind
from phi4train.data.media.registry import (
    add_media_kind,
    find_media_kind,
    media_kinds,
    remove_media_kind,
    taken_by,
)
from phi4train.errors import did_you_mean
from phi4train.model.component_names import LORA_PREFIX, ComponentFacts
from phi4train.model.components import (
    Component,
    add_component,
    component_names,
    key_under,
    lora_component,
    remove_component,
)
from phi4train.modes import Mode

__all__ = [
    "Component",
    "ComponentFacts",
    "Modality",
    "Mode",
    "key_under",
    "register_modality",
    "unregister_modality",
]


@dataclass(frozen=True)
class Modality:
    """All that phi4train must know of a modality.

    Args:
        kind: how its media are found, measured, decoded and collated.
        components: the parts that make tokens of its media, in the order in which they are installed; they
            make those of `kind` unless their facts name another.
        modes: samples that have its media, alone or beside others. Samples with media that no mode names
            cannot be used.
        adapter: LoRA of its slots under the routing rule `token`; its component is registered unless it is
            there already. None: they use the base model alone.
    """

    kind: MediaKind
    components: tuple[Component, ...]
    modes: tuple[Mode, ...]
    adapter: str | None


_COMPONENTS_OF: dict[str, tuple[str, ...]] = {}
"""By kind of media, the components that its declaration added."""


def register_modality(modality: Modality) -> None:
    """Makes a modality known to data, model, checkpoints and validation; all of it, or nothing.

    Raises:
        ValueError: names everything that is taken or unknown.
    """
    components = _all_components(modality)
    problems = [
        *taken_by(modality.kind),
        *_component_problems(components),
        *_mode_problems(modality, components),
    ]
    if problems:
        raise ValueError(
            f"the modality '{modality.kind.name}' must have names of its own, and modes of known media and "
            f"adapters · found {', '.join(problems)} · rename what is taken, and mend what is unknown"
        )
    add_media_kind(modality.kind)
    for component in components:
        add_component(component)
    for mode in modality.modes:
        modes.add_mode(mode)
    if modality.adapter is not None:
        modes.add_adapter_of_kind(modality.kind.name, modality.adapter)
    _COMPONENTS_OF[modality.kind.name] = tuple(component.name for component in components)


def unregister_modality(name: str) -> None:
    """Forgets a registered modality, and all modes that have its media; for tests.

    Args:
        name: of its kind of media.
    """
    for component in _COMPONENTS_OF.pop(name):
        remove_component(component)
    modes.forget_kind(name)
    remove_media_kind(name)


def _all_components(modality: Modality) -> tuple[Component, ...]:
    """Its components with their kind of media, and its LoRA unless that is known or among them."""
    components = tuple(_with_media(component, modality.kind.name) for component in modality.components)
    if modality.adapter is None:
        return components
    known = {*component_names(), *(component.name for component in components)}
    is_known = f"{LORA_PREFIX}{modality.adapter}" in known
    return components if is_known else (*components, lora_component(modality.adapter))


def _with_media(component: Component, kind: str) -> Component:
    if component.name.startswith(LORA_PREFIX) or component.facts.media is not None:
        return component
    return replace(component, facts=replace(component.facts, media=kind))


def _component_problems(components: Sequence[Component]) -> Iterator[str]:
    yield from _taken("component", component_names(), [component.name for component in components])


def _mode_problems(modality: Modality, components: Sequence[Component]) -> Iterator[str]:
    known = modes.known_modes()
    media = [frozenset(mode.kinds) for mode in modality.modes]
    yield from _taken("mode", [mode.name for mode in known], [mode.name for mode in modality.modes])
    for kinds, times in Counter(media).items():
        if times > 1 or modes.find_mode_of(kinds) is not None:
            yield f"media {sorted(kinds)} taken by a mode"
    names = [*component_names(), *(component.name for component in components)]
    adapters = [name.removeprefix(LORA_PREFIX) for name in names if name.startswith(LORA_PREFIX)]
    for mode, kinds in zip(modality.modes, media, strict=True):
        adapter = mode.adapter
        if modality.kind.name not in kinds:
            yield f"mode '{mode.name}' without media of its own kind"
        for kind in sorted(kinds - {modality.kind.name}):
            if find_media_kind(kind) is None:
                hint = did_you_mean(kind, [each.name for each in media_kinds()])
                yield f"mode '{mode.name}' with unknown media '{kind}'{hint}"
        if adapter is not None and adapter not in adapters:
            yield f"mode '{mode.name}' with unknown adapter '{adapter}'{did_you_mean(adapter, adapters)}"


def _taken(what: str, known: Sequence[str], names: Sequence[str]) -> Iterator[str]:
    """The names that are known already, or are there twice."""
    for name, times in Counter(names).items():
        if name in known or times > 1:
            yield f"{what} '{name}' taken"
