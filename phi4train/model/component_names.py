"""The names of the components, without torch: the configuration is validated against them."""

from collections.abc import Mapping

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

COMPONENT_NAMES = (
    LANGUAGE_MODEL,
    VISION_ENCODER,
    VISION_PROJECTOR,
    AUDIO_ENCODER,
    AUDIO_PROJECTOR_SPEECH,
    AUDIO_PROJECTOR_VISION_SPEECH,
    LORA_VISION,
    LORA_SPEECH,
)
"""Every built-in component; more are added by `phi4train.model.components.register_component`."""

_SIZES_OF_ADDED: dict[str, Mapping[str, float]] = {}


def add_component_name(name: str, sizes: Mapping[str, float]) -> None:
    """Makes a component from outside of phi4train known to the configuration.

    Args:
        sizes: default of each size that `model.extra` may give as `<component>.<size>`.
    """
    _SIZES_OF_ADDED[name] = sizes


def known_components() -> tuple[str, ...]:
    """The built-in components and those that were added, which a run's `imports` decide."""
    return (*COMPONENT_NAMES, *_SIZES_OF_ADDED)


def known_sizes() -> dict[str, float]:
    """By key of `model.extra`, the default: a whole number where the size must be one."""
    return {f"{name}.{size}": d for name, sizes in _SIZES_OF_ADDED.items() for size, d in sizes.items()}


def size_of(key: str, extra: Mapping[str, float]) -> float:
    """The size `<component>.<size>` of an added component: what `model.extra` gives, else its default."""
    return extra.get(key, known_sizes()[key])
