"""The names of the built-in components, without torch: the configuration is validated against them."""

LANGUAGE_MODEL = "language_model"
VISION_ENCODER = "vision_encoder"
VISION_PROJECTOR = "vision_projector"
LORA_PREFIX = "lora."
LORA_VISION = "lora.vision"
LORA_SPEECH = "lora.speech"

COMPONENT_NAMES = (LANGUAGE_MODEL, VISION_ENCODER, VISION_PROJECTOR, LORA_VISION, LORA_SPEECH)
"""Every built-in component; more are added by `phi4train.model.components.register_component`."""
