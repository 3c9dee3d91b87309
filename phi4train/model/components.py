"""The named parts of a model: how each is installed, initialised, saved and loaded, and what it owns.

Those of a new modality are declared through `phi4train.modality`.
"""

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from torch import Tensor, nn

from phi4train.errors import CheckpointError, did_you_mean
from phi4train.model import audio, vision
from phi4train.model.component_names import (
    AUDIO_ENCODER,
    AUDIO_PROJECTOR_PREFIX,
    AUDIO_PROJECTOR_SPEECH,
    AUDIO_PROJECTOR_VISION_SPEECH,
    LANGUAGE_MODEL,
    LORA_PREFIX,
    VISION_ENCODER,
    VISION_PROJECTOR,
    ComponentFacts,
    add_component_facts,
    known_components,
    remove_component_facts,
)
from phi4train.model.language_model import LanguageModel
from phi4train.model.phi4 import Phi4Model
from phi4train.model.routing import RoutingRule
from phi4train.model.shapes import ModelShape
from phi4train.model.vision_encoder import fill_normal


@dataclass(frozen=True)
class Component:
    """A part of the model that is trained, saved and loaded under one name.

    Args:
        name: as recipes spell it.
        install: adds the part's modules to a model; may be called once for each of several components that
            share modules, so it must do nothing when they are there already.
        canonical_key: the key of a tensor or module of the model inside this component, from its name in the
            model; None when it belongs to another component.
        initialise: fills the part's parameters from a generator; called only after all parts are installed.
        needs: components without which this one makes no sense.
        needs_one_of: components of which this one needs at least one; empty when it needs none.
        facts: what the configuration must know of it; of a built-in part they stand beside its name.
    """

    name: str
    install: Callable[[Phi4Model, ModelShape], None]
    canonical_key: Callable[[str], str | None]
    initialise: Callable[[Phi4Model, ModelShape, torch.Generator], None]
    needs: tuple[str, ...] = (LANGUAGE_MODEL,)
    needs_one_of: tuple[str, ...] = ()
    facts: ComponentFacts = field(default_factory=ComponentFacts)


_REGISTRY: dict[str, Component] = {}


def add_component(component: Component) -> None:
    """Makes a component known, whose name must be free; the order of adding is the order of installation."""
    assert component.name not in _REGISTRY, component.name
    _REGISTRY[component.name] = component
    if component.name not in known_components():
        add_component_facts(component.name, component.facts)


def remove_component(name: str) -> None:
    """Forgets a component that was added."""
    del _REGISTRY[name]
    remove_component_facts(name)


def component_names() -> tuple[str, ...]:
    """All registered components."""
    return tuple(_REGISTRY)


def key_under(prefix: str) -> Callable[[str], str | None]:
    """A `canonical_key` for a component that owns everything below one module of the model."""

    def canonical_key(name: str) -> str | None:
        if name == prefix:
            return ""
        return name.removeprefix(f"{prefix}.") if name.startswith(f"{prefix}.") else None

    return canonical_key


def lora_component(adapter: str) -> Component:
    """The component `lora.<adapter>`; its size is `ModelShape.lora[adapter]`."""

    def install(model: Phi4Model, shape: ModelShape) -> None:
        # peft costs seconds that text-only runs need not pay
        from phi4train.model.lora import install_adapter

        if adapter not in shape.lora:
            raise ValueError(
                f"model.lora must give the size of each adapter · found none for '{adapter}' · "
                f"add model.lora.{adapter}"
            )
        install_adapter(model.language_model, adapter, shape.lora[adapter])
        model.adapters.append(adapter)

    def canonical_key(name: str) -> str | None:
        key = key_under("language_model")(name)
        if key is None or ".lora_" not in key:
            return None
        parts = key.split(".")
        position = next(i for i, part in enumerate(parts) if part.startswith("lora_")) + 1
        if position >= len(parts) or parts[position] != adapter:
            return None
        return ".".join(parts[:position] + parts[position + 1 :])

    def initialise(model: Phi4Model, shape: ModelShape, generator: torch.Generator) -> None:
        for key, parameter in _owned(model.named_parameters(), canonical_key).items():
            if key.endswith("lora_A.weight"):
                bound = parameter.shape[1] ** -0.5  # peft's kaiming, a = sqrt(5)
                parameter.copy_(torch.empty(parameter.shape).uniform_(-bound, bound, generator=generator))
            else:
                parameter.zero_()

    return Component(f"{LORA_PREFIX}{adapter}", install, canonical_key, initialise)


def _language_model_key(name: str) -> str | None:
    key = key_under("language_model")(name)
    return None if key is None or ".lora_" in key else key.replace(".base_layer", "")


def _initialise_language_model(model: Phi4Model, shape: ModelShape, generator: torch.Generator) -> None:
    for key, parameter in _owned(model.named_parameters(), _language_model_key).items():
        if key.endswith("norm.weight"):
            parameter.fill_(1.0)
        else:
            fill_normal(parameter, generator, std=shape.language_model.initializer_range)


def _install_vision(model: Phi4Model, shape: ModelShape) -> None:
    if "image" not in model.encoders:
        projector = vision.VisionProjector(shape.vision, shape.language_model.hidden_dim)
        model.encoders["image"] = vision.VisionTower(vision.VisionEncoder(shape.vision), projector)


def _install_audio(model: Phi4Model, shape: ModelShape) -> None:
    if "audio" not in model.encoders:
        model.encoders["audio"] = audio.AudioTower(audio.AudioEncoder(shape.audio), {})


def _module_component(
    name: str,
    module: str,
    install: Callable[[Phi4Model, ModelShape], None],
    initialise_module: Callable[..., None],
    needs: tuple[str, ...] = (LANGUAGE_MODEL,),
    needs_one_of: tuple[str, ...] = (),
) -> Component:
    """A component that owns `module` of the model and everything below."""

    def initialise(model: Phi4Model, shape: ModelShape, generator: torch.Generator) -> None:
        initialise_module(model.get_submodule(module), generator)

    return Component(name, install, key_under(module), initialise, needs, needs_one_of)


def _vision_component(
    name: str, module: str, needs: str, initialise_module: Callable[..., None]
) -> Component:
    return _module_component(
        name, f"encoders.image.{module}", _install_vision, initialise_module, (LANGUAGE_MODEL, needs)
    )


def _audio_projector_component(name: str) -> Component:
    projector = name.removeprefix(AUDIO_PROJECTOR_PREFIX)
    folder = "encoders.audio.projectors"

    def install(model: Phi4Model, shape: ModelShape) -> None:
        _install_audio(model, shape)
        module = audio.AudioProjector(shape.audio, shape.language_model.hidden_dim)
        model.get_submodule(folder).add_module(projector, module)

    return _module_component(
        name, f"{folder}.{projector}", install, audio.init_audio_projector, (LANGUAGE_MODEL, AUDIO_ENCODER)
    )


for _component in (
    Component(
        LANGUAGE_MODEL, lambda model, shape: None, _language_model_key, _initialise_language_model, needs=()
    ),
    _vision_component(VISION_ENCODER, "encoder", VISION_PROJECTOR, vision.init_vision_encoder),
    _vision_component(VISION_PROJECTOR, "projector", VISION_ENCODER, vision.init_vision_projector),
    _module_component(
        AUDIO_ENCODER,
        "encoders.audio.encoder",
        _install_audio,
        audio.init_audio_encoder,
        needs_one_of=(AUDIO_PROJECTOR_SPEECH, AUDIO_PROJECTOR_VISION_SPEECH),
    ),
    _audio_projector_component(AUDIO_PROJECTOR_SPEECH),
    _audio_projector_component(AUDIO_PROJECTOR_VISION_SPEECH),
    lora_component("vision"),
    lora_component("speech"),
):
    add_component(_component)


def build_model(
    shape: ModelShape,
    components: Collection[str],
    seed: int,
    device: str = "cpu",
    routing_rule: RoutingRule = "sample",
) -> Phi4Model:
    """A freshly initialised float32 model of exactly `components`, all of it trainable.

    Each component's values depend on (seed, its name) alone, and the global random state is left untouched.

    Args:
        shape: sizes of all parts.
        components: registered names, in any order; must hold `language_model`.
        seed: any integer.
        device: where the parameters live; on `meta` nothing is allocated or initialised.
        routing_rule: how rows choose their adapter.

    Raises:
        ValueError: a name is unknown, or a component lacks another that it needs.
    """
    _check_names(components)
    chosen = [component for name, component in _REGISTRY.items() if name in components]
    with torch.device("meta"):
        model = Phi4Model(LanguageModel(shape.language_model), routing_rule)
        for component in chosen:
            component.install(model, shape)
    assert {name for name, _ in model.named_buffers()} <= model.state_dict().keys(), (
        "non-persistent buffers are lost"
    )
    model.requires_grad_(True)
    if device == "meta":
        return model
    model.to_empty(device=device)
    with torch.no_grad():
        for component in chosen:
            digest = hashlib.sha256(f"{seed}/{component.name}".encode()).digest()
            generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big", signed=True))
            component.initialise(model, shape, generator)
    return model


def _check_names(components: Collection[str]) -> None:
    problems = [
        f"components must be registered · found '{name}'{did_you_mean(name, _REGISTRY)} · correct the name"
        for name in components
        if name not in _REGISTRY
    ]
    problems += [
        f"component '{name}' needs '{needed}' · found {sorted(components)} · add '{needed}'"
        for name in components
        if name in _REGISTRY
        for needed in _REGISTRY[name].needs
        if needed not in components
    ]
    problems += [
        f"component '{name}' needs one of {list(choice)} · found {sorted(components)} · add one"
        for name in components
        if name in _REGISTRY
        and (choice := _REGISTRY[name].needs_one_of)
        and not set(choice) & set(components)
    ]
    if LANGUAGE_MODEL not in components and not problems:
        problems.append(f"a model needs '{LANGUAGE_MODEL}' · found {sorted(components)} · add it")
    if problems:
        raise ValueError("\n".join(problems))


def installed_components(model: nn.Module) -> tuple[str, ...]:
    """Names of the components that own at least one parameter of `model`, in order of registration."""
    return tuple(name for name in _REGISTRY if parameters_of(model, name))


def parameters_of(model: nn.Module, component: str) -> dict[str, nn.Parameter]:
    """The component's parameters by canonical key; empty when it is not installed.

    Raises:
        ValueError: the component is not registered.
    """
    return _owned(model.named_parameters(), registered_component(component).canonical_key)


def names_of(model: nn.Module, component: str) -> dict[str, str]:
    """Names in the model of the component's parameters and persistent buffers, by canonical key."""
    return _owned(
        ((name, name) for name in model.state_dict()), registered_component(component).canonical_key
    )


def state_of(model: nn.Module, component: str) -> dict[str, Tensor]:
    """The component's parameters and persistent buffers by canonical key, detached, not copied.

    Raises:
        ValueError: the component is not registered.
    """
    return _owned(model.state_dict().items(), registered_component(component).canonical_key)


@torch.no_grad()
def load_state(model: nn.Module, component: str, state: Mapping[str, Tensor]) -> None:
    """Copies `state` into the component, in the model's dtype; nothing is changed if a key does not fit.

    Raises:
        CheckpointError: lists every key that is missing, unexpected or of another shape.
    """
    own = state_of(model, component)
    problems = [f"missing: {key}" for key in own if key not in state]
    problems += [f"unexpected: {key}" for key in state if key not in own]
    problems += [
        f"another shape: {key} is {tuple(state[key].shape)}, the model's is {tuple(tensor.shape)}"
        for key, tensor in own.items()
        if key in state and state[key].shape != tensor.shape
    ]
    if problems:
        raise CheckpointError(
            f"the tensors of component '{component}' must fit the model · found {len(problems)} problems · "
            "take a checkpoint of the same component and model size (another shape means that the parent "
            "was trained at another model size):\n  " + "\n  ".join(problems)
        )
    for key, tensor in own.items():
        tensor.copy_(state[key])


def modules_of(model: nn.Module, component: str) -> list[nn.Module]:
    """The largest modules that are all the component's own: `train()` on them touches no other one.

    Raises:
        ValueError: the component is not registered.
    """
    canonical_key = registered_component(component).canonical_key
    found: list[nn.Module] = []

    def visit(module: nn.Module, name: str) -> None:
        prefix = f"{name}." if name else ""
        if all(
            canonical_key(prefix + inner if inner else name) is not None
            for inner, _ in module.named_modules()
        ):
            found.append(module)
        else:
            for child_name, child in module.named_children():
                visit(child, prefix + child_name)

    visit(model, "")
    return found


def registered_component(component: str) -> Component:
    """The component of that name.

    Raises:
        ValueError: it is not registered.
    """
    if component not in _REGISTRY:
        raise ValueError(
            f"a component must be registered · found '{component}'{did_you_mean(component, _REGISTRY)} · "
            "register it with phi4train.modality.register_modality"
        )
    return _REGISTRY[component]


_Item = TypeVar("_Item")


def _owned(
    named: Iterable[tuple[str, _Item]], canonical_key: Callable[[str], str | None]
) -> dict[str, _Item]:
    keyed = ((canonical_key(name), item) for name, item in named)
    return {key: item for key, item in keyed if key is not None}
