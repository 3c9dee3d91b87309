"""The names of the built-in components, without torch: the configuration is validated against them."""

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
