"""The names of the components and facts of each, without torch: a configuration is checked against them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

LANGUAGE_MODEL = "language_model"
VISION_ENCODER = "vision_encoder"
VISION_PROJECTOR = "vision_projector"
AUDIO_ENCODER = "audio_encoder"
AUDIO_PROJECTOR_PREFIX = "audio_projector."
AUDIO_PROJECTOR_SPEECH = "audio_projector.speech"
AUDIO_PROJECTOR_VISION_SPEECH = "audio_projector.vision_speech"
LORA_PREFIX = "lora."
LORA_VISION = "lora.vision"
LORA_SPEECH = "lora.speech"

FRESH = "fresh"
"""In `init`: a component starts from random values."""


@dataclass(frozen=True)
class ComponentFacts:
    """What a configuration is checked against.

    Args:
        has_layers: a module of it has the attribute `activation_checkpointing`: its activations can be
            recomputed in the backward pass.
        media: name of the kind of media whose tokens it makes; None: it makes none.
        family: components of one family have tensors of the same shapes, but for the rank of a LoRA, so that
            one may start as a copy of another; None: the family is its name up to the first dot.
        sizes: default of each size that `model.extra` may give as `<component>.<size>`; a whole number where
            it must be one.
    """

    has_layers: bool = False
    media: str | None = None
    family: str | None = None
    sizes: Mapping[str, float] = field(default_factory=dict)


_FACTS: dict[str, ComponentFacts] = {
    LANGUAGE_MODEL: ComponentFacts(has_layers=True),
    VISION_ENCODER: ComponentFacts(has_layers=True, media="image"),
    VISION_PROJECTOR: ComponentFacts(media="image"),
    AUDIO_ENCODER: ComponentFacts(has_layers=True, media="audio"),
    AUDIO_PROJECTOR_SPEECH: ComponentFacts(media="audio"),
    AUDIO_PROJECTOR_VISION_SPEECH: ComponentFacts(media="audio"),
    LORA_VISION: ComponentFacts(),
    LORA_SPEECH: ComponentFacts(),
}

COMPONENT_NAMES = tuple(_FACTS)
"""Every built-in component; a run's `imports` add more, through `phi4train.modality`."""


def add_component_facts(name: str, facts: ComponentFacts) -> None:
    """Makes a component from outside of phi4train known to the configuration."""
    _FACTS[name] = facts


def remove_component_facts(name: str) -> None:
    """Forgets a component from outside of phi4train."""
    del _FACTS[name]


def known_components() -> tuple[str, ...]:
    """The built-in components and those that were added, which a run's `imports` decide."""
    return tuple(_FACTS)


def layered_components() -> tuple[str, ...]:
    """Components with layers, whose activations can be recomputed."""
    return tuple(name for name, facts in _FACTS.items() if facts.has_layers)


def media_components(kind: str | None = None) -> tuple[str, ...]:
    """Components that make tokens of this kind of media, or of any."""
    return tuple(
        name
        for name, facts in _FACTS.items()
        if facts.media is not None and (kind is None or facts.media == kind)
    )


def media_of_component(name: str) -> str | None:
    """The kind of media whose tokens a known component makes; None: it makes none."""
    return _FACTS[name].media


def family_of(name: str) -> str:
    """The family of a known component."""
    return _FACTS[name].family or name.partition(".")[0]


def known_sizes() -> dict[str, float]:
    """By key of `model.extra`, the default: a whole number where the size must be one."""
    return {f"{name}.{size}": d for name, facts in _FACTS.items() for size, d in facts.sizes.items()}


def size_of(key: str, extra: Mapping[str, float]) -> float:
    """The size `<component>.<size>` of an added component: what `model.extra` gives, else its default."""
    return extra.get(key, known_sizes()[key])
