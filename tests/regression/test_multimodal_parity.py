"""Logits of the whole model equal those of transformers' Phi4Multimodal, in each of the four modes.

The reference has no mode: its user sets the LoRA, and a sample with an image takes the other audio projector.
It runs on one sample at a time, unpadded and eager: it chooses for a whole batch, does not mask the padding
of audio, and its vision attention under SDPA is causal.
"""

import warnings

import pytest
import torch
from peft import LoraConfig
from torch import Tensor
from transformers import Phi4MultimodalConfig, Phi4MultimodalForCausalLM

from phi4train.batch import IGNORE_INDEX, AudioInputs, Batch, ImageInputs
from phi4train.model.audio_encoder import num_audio_tokens
from phi4train.model.components import build_model, load_state, state_of
from phi4train.model.phi4 import Phi4Model
from phi4train.model.shapes import (
    AudioShape,
    LanguageModelShape,
    LoraShape,
    ModelShape,
    RopeShape,
    VisionShape,
)

ADAPTERS = {"text": None, "vision": "vision", "speech": "speech", "vision_speech": "vision"}
"""The LoRA of each mode in the released code (its InputMode)."""

MODES = tuple(ADAPTERS)
COMPONENTS = {
    "language_model": "model",
    "vision_encoder": "model.embed_tokens_extend.image_embed.img_processor",
    "vision_projector": "model.embed_tokens_extend.image_embed",
    "audio_encoder": "model.embed_tokens_extend.audio_embed.encoder",
    "audio_projector.speech": "model.embed_tokens_extend.audio_embed",
    "audio_projector.vision_speech": "model.embed_tokens_extend.audio_embed",
    "lora.vision": "model",
    "lora.speech": "model",
}
"""By component, the reference's module that holds its tensors."""

IMAGE_SLOT, AUDIO_SLOT, VOCAB = 90, 91, 96
SHAPE = ModelShape(
    LanguageModelShape(
        VOCAB,
        hidden_dim=64,
        intermediate_dim=96,
        num_layers=2,
        num_heads=4,
        num_kv_heads=2,
        rope=RopeShape(
            original_context_tokens=48,
            max_context_tokens=96,
            short_factor=[1.0 + 0.1 * i for i in range(6)],
            long_factor=[1.5 + i for i in range(6)],
        ),
    ),
    VisionShape(32, 64, num_layers=3, num_heads=4, crop_size=28, patch_size=7),
    AudioShape(
        hidden_dim=32,
        intermediate_dim=48,
        num_layers=2,
        num_heads=4,
        subsampling_channels=8,
        bias_max_distance=10,
    ),
    {"vision": LoraShape(4, 8), "speech": LoraShape(6, 18)},
)
LORA_REGEX = r"model\.layers\.\d+\.((self_attn\.(qkv|o)_proj)|(mlp\.(gate_up|down)_proj))"
"""That of the released checkpoint, as transformers reads it."""


@pytest.fixture(scope="module")
def reference() -> Phi4MultimodalForCausalLM:
    """The reference with random weights, statistics and adapters."""
    lm, vision, audio = SHAPE.language_model, SHAPE.vision, SHAPE.audio
    config = Phi4MultimodalConfig(
        vocab_size=VOCAB,
        hidden_size=lm.hidden_dim,
        intermediate_size=lm.intermediate_dim,
        num_hidden_layers=lm.num_layers,
        num_attention_heads=lm.num_heads,
        num_key_value_heads=lm.num_kv_heads,
        max_position_embeddings=lm.rope.max_context_tokens,
        original_max_position_embeddings=lm.rope.original_context_tokens,
        rope_parameters={
            "rope_type": "longrope",
            "rope_theta": lm.rope.theta,
            "partial_rotary_factor": lm.rope.partial_rotary_factor,
            "original_max_position_embeddings": lm.rope.original_context_tokens,
            "short_factor": lm.rope.short_factor,
            "long_factor": lm.rope.long_factor,
        },
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=1,
        vision_config={
            "hidden_size": vision.hidden_dim,
            "intermediate_size": vision.intermediate_dim,
            "num_hidden_layers": vision.num_layers,
            "num_attention_heads": vision.num_heads,
            "image_size": vision.crop_size,
            "crop_size": vision.crop_size,
            "patch_size": vision.patch_size,
            "image_token_id": IMAGE_SLOT,
        },
        audio_config={
            "hidden_size": audio.hidden_dim,
            "intermediate_size": audio.intermediate_dim,
            "num_blocks": audio.num_layers,
            "num_attention_heads": audio.num_heads,
            "nemo_conv_channels": audio.subsampling_channels,
            "ext_pw_out_channel": audio.hidden_dim,
            "depthwise_separable_out_channel": audio.hidden_dim,
            "bias_max_distance": audio.bias_max_distance,
            "audio_token_id": AUDIO_SLOT,
        },
        attn_implementation="eager",
    )
    model = Phi4MultimodalForCausalLM(config)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Already found a `peft_config`")
        for name, lora in SHAPE.lora.items():
            model.add_adapter(LoraConfig(r=lora.r, lora_alpha=lora.alpha, target_modules=LORA_REGEX), name)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0.0, 0.2, generator=generator)
        normalise = model.model.embed_tokens_extend.audio_embed.encoder.encoder_embedding
        normalise.global_mean.normal_(10.0, 1.0, generator=generator)
        normalise.global_invstd.uniform_(0.2, 0.4, generator=generator)
    return model.eval()


@pytest.fixture(scope="module")
def model(reference: Phi4MultimodalForCausalLM) -> Phi4Model:
    """Ours with the reference's weights, each component's loaded strictly."""
    model = build_model(SHAPE, list(COMPONENTS), seed=0)
    known = {name.replace(".base_layer", ""): tensor for name, tensor in reference.state_dict().items()}
    for component, prefix in COMPONENTS.items():
        load_state(
            model,
            component,
            {key: known[f"{prefix}.{_theirs(component, key)}"] for key in state_of(model, component)},
        )
    return model.eval()


def _theirs(component: str, key: str) -> str:
    """The reference's spelling of a key of ours."""
    family, _, name = component.partition(".")
    if family == "lora":
        return key.replace(".weight", f".{name}.weight")
    return key.replace("_proj.", f"_proj_for_{name}.") if family == "audio_projector" else key


def prompt(mode: str, num_frames: int = 75) -> Batch:
    """Text, an image of 2 x 1 half empty crops and a clip where the mode has them, and text again."""
    generator = torch.Generator().manual_seed(MODES.index(mode))
    parts = [torch.randint(1, IMAGE_SLOT, (7,), generator=generator)]
    media: dict[str, ImageInputs | AudioInputs] = {}

    def slots(token: int, number: int) -> Tensor:
        positions = torch.arange(number) + sum(map(len, parts))
        parts.append(torch.full((number,), token))
        return positions

    if "vision" in mode:
        mask = torch.ones(3, 4, 4, dtype=torch.bool)
        mask[1:, :, 2:] = False
        crops = torch.randn(3, 3, 28, 28, generator=generator)
        media["image"] = ImageInputs(crops, mask, ((2, 1),), slots(IMAGE_SLOT, 4 * (1 + 1) + 1 + 2 * (2 + 1)))
    if "speech" in mode:
        features = 10 + 3 * torch.randn(num_frames, SHAPE.audio.num_mels, generator=generator)
        positions = slots(AUDIO_SLOT, num_audio_tokens(num_frames))
        media["audio"] = AudioInputs(features, (num_frames,), (mode,), positions)
    ids = torch.cat([*parts, torch.randint(1, IMAGE_SLOT, (20,), generator=generator)])
    labels, name = torch.full_like(ids, IGNORE_INDEX), (mode,)
    return Batch(ids, torch.arange(len(ids)), labels, (len(ids),), name, name, name, media)


def reference_logits(reference: Phi4MultimodalForCausalLM, batch: Batch) -> Tensor:
    """Of one sample, with the LoRA of its mode."""
    adapter = ADAPTERS[batch.modes[0]]
    if adapter is None:
        reference.disable_adapters()
    else:
        reference.enable_adapters()
        reference.set_adapter(adapter)
    inputs: dict[str, Tensor] = {}
    image, audio = batch.media.get("image"), batch.media.get("audio")
    if isinstance(image, ImageInputs):
        sides = [SHAPE.vision.crop_size * number for number in image.grids[0]]
        inputs["image_pixel_values"] = image.crops_C3SS[None]
        inputs["image_attention_mask"] = image.patch_mask_CGG[None].float()
        inputs["image_sizes"] = torch.tensor([sides])
    if isinstance(audio, AudioInputs):
        inputs["audio_input_features"] = audio.features_FM[None]
        inputs["audio_embed_sizes"] = torch.tensor([len(audio.positions)])
    logits: Tensor = reference(input_ids=batch.input_ids_T[None], use_cache=False, **inputs).logits[0]
    return logits


@pytest.mark.parametrize("mode", MODES)
@torch.no_grad()
def test_logits_equal_the_reference(
    mode: str, model: Phi4Model, reference: Phi4MultimodalForCausalLM
) -> None:
    batch = prompt(mode)
    logits = model(batch) @ model.head_weight.T
    torch.testing.assert_close(logits, reference_logits(reference, batch), rtol=0, atol=1e-4)


@pytest.mark.parametrize("frames", [8, 160])
@torch.no_grad()
def test_logits_equal_the_reference_below_and_beyond_the_longrope_switch(
    frames: int, model: Phi4Model, reference: Phi4MultimodalForCausalLM
) -> None:
    batch = prompt("vision_speech", frames)
    assert (len(batch.input_ids_T) > SHAPE.language_model.rope.original_context_tokens) == (frames == 160)
    logits = model(batch) @ model.head_weight.T
    torch.testing.assert_close(logits, reference_logits(reference, batch), rtol=0, atol=1e-4)
