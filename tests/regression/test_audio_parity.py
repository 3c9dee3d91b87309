"""Features, token counts, encoder outputs and projected tokens equal those of transformers' Phi4Multimodal.

The reference is run on one clip at a time: it adds 0, not -inf, to the logits of keys that are only padding.
"""

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import Phi4MultimodalConfig
from transformers.models.phi4_multimodal.feature_extraction_phi4_multimodal import (
    Phi4MultimodalFeatureExtractor,
)
from transformers.models.phi4_multimodal.modeling_phi4_multimodal import (
    Phi4MultimodalAudioEmbedding,
    Phi4MultimodalAudioModel,
)

from phi4train.batch import AudioInputs
from phi4train.data.media.audio_features import SAMPLE_RATE_HZ, log_mel, num_audio_tokens, num_frames
from phi4train.model.audio import AudioEncoder, AudioProjector, AudioTower
from phi4train.model.shapes import AudioShape

AUDIO_TOKEN_ID = 3
OUTPUT_DIM = 48
WINDOW = 500
SHAPE = AudioShape(
    hidden_dim=32,
    intermediate_dim=48,
    num_layers=3,
    num_heads=4,
    subsampling_channels=8,
    conv_kernel_size=5,
    bias_max_distance=60,
)
SECONDS = [1.0, 39.9, 40.1, 95.0]


def speech(seconds: float) -> Tensor:
    """Noise whose loudness swings between a whisper and full scale."""
    rng = np.random.default_rng(round(seconds * 10))
    time = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    samples = rng.normal(0, 0.2, len(time)) * 10.0 ** (2 * np.sin(5 * time) - 2)
    return torch.from_numpy(samples.clip(-1, 1).astype(np.float32))


def extract(samples: Tensor) -> dict[str, Tensor]:
    extracted: dict[str, Tensor] = Phi4MultimodalFeatureExtractor()(
        samples.numpy(), sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt"
    )
    return extracted


@pytest.mark.parametrize("seconds", [0.025, 0.7, *SECONDS])
@pytest.mark.parametrize("scale", [1e-4, 1.0])
def test_features_and_token_counts_equal_the_reference(seconds: float, scale: float) -> None:
    samples = scale * speech(seconds)
    reference, features = extract(samples), log_mel(samples)
    torch.testing.assert_close(features, reference["audio_input_features"][0], rtol=0, atol=1e-5)
    assert num_audio_tokens(len(features)) == int(reference["audio_embed_sizes"][0])


@pytest.mark.parametrize("seconds, tokens", [(30, 375), (60, 750), (1800, 22_500)])
def test_durations_have_as_many_tokens_as_in_the_reference(seconds: int, tokens: int) -> None:
    frames = num_frames(seconds * SAMPLE_RATE_HZ)
    assert num_audio_tokens(frames) == tokens
    assert int(Phi4MultimodalFeatureExtractor()._compute_audio_embed_size(torch.tensor(frames))) == tokens


@pytest.fixture(scope="module")
def reference() -> Phi4MultimodalAudioEmbedding:
    """The reference's audio part with random weights and statistics."""
    config = Phi4MultimodalConfig(
        audio_config={
            "hidden_size": SHAPE.hidden_dim,
            "intermediate_size": SHAPE.intermediate_dim,
            "num_blocks": SHAPE.num_layers,
            "num_attention_heads": SHAPE.num_heads,
            "nemo_conv_channels": SHAPE.subsampling_channels,
            "ext_pw_out_channel": SHAPE.hidden_dim,
            "depthwise_separable_out_channel": SHAPE.hidden_dim,
            "kernel_size": SHAPE.conv_kernel_size,
            "bias_max_distance": SHAPE.bias_max_distance,
            "audio_token_id": AUDIO_TOKEN_ID,
        },
        hidden_size=OUTPUT_DIM,
        num_attention_heads=4,
        num_key_value_heads=2,
        attn_implementation="eager",
    )
    embedding = Phi4MultimodalAudioEmbedding(config).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in embedding.parameters():
            parameter.normal_(0.0, 0.2, generator=generator)
        embedding.encoder.encoder_embedding.global_mean.normal_(10.0, 1.0, generator=generator)
        embedding.encoder.encoder_embedding.global_invstd.uniform_(0.2, 0.4, generator=generator)
    return embedding


@pytest.fixture(scope="module")
def tower(reference: Phi4MultimodalAudioEmbedding) -> AudioTower:
    """Ours with the reference's weights, the encoder's loaded strictly under the reference's names."""
    encoder = AudioEncoder(SHAPE)
    encoder.load_state_dict(reference.encoder.state_dict())
    projectors = {name: AudioProjector(SHAPE, OUTPUT_DIM) for name in ("speech", "vision_speech")}
    for name, projector in projectors.items():
        projector.up_proj.load_state_dict(getattr(reference, f"up_proj_for_{name}").state_dict())
        projector.down_proj.load_state_dict(getattr(reference, f"down_proj_for_{name}").state_dict())
    return AudioTower(encoder, projectors).eval()


def encode_by_windows(encoder: Phi4MultimodalAudioModel, features: Tensor) -> Tensor:
    """The reference, each window alone: its forward lets the last one attend to the zeros that fill it."""
    embedded, _ = encoder.embed(encoder.encoder_embedding(features[None]), None)
    windows = []
    for hidden in embedded.split(WINDOW, dim=1):
        bias = encoder.relative_attention_bias_layer(hidden)
        for layer in encoder.encoders:
            hidden = layer(hidden, bias)
        windows.append(hidden[0])
    return torch.cat(windows)


@pytest.mark.parametrize("seconds", SECONDS)
@torch.no_grad()
def test_encoded_clips_equal_the_reference(
    seconds: float, reference: Phi4MultimodalAudioEmbedding, tower: AudioTower
) -> None:
    features = log_mel(speech(seconds))
    tokens = tower.encoder(features, (len(features),))
    expected = reference.encoder(features[None], None)[0]
    assert tokens.shape == expected.shape
    in_full_windows = len(tokens) if len(tokens) <= WINDOW else len(tokens) // WINDOW * WINDOW
    torch.testing.assert_close(tokens[:in_full_windows], expected[:in_full_windows], rtol=0, atol=1e-5)
    torch.testing.assert_close(tokens, encode_by_windows(reference.encoder, features), rtol=0, atol=1e-5)


def projected(reference: Phi4MultimodalAudioEmbedding, features: Tensor, projector: str) -> Tensor:
    num_tokens = num_audio_tokens(len(features))
    embedded: Tensor = reference(
        torch.full((1, num_tokens), AUDIO_TOKEN_ID),
        torch.zeros(1, num_tokens, OUTPUT_DIM),
        features[None],
        audio_embed_sizes=[num_tokens],
        audio_projection_mode=projector,
    )
    return embedded[0]


@torch.no_grad()
def test_tokens_of_a_mixed_batch_equal_the_reference_run_on_each_clip_alone(
    reference: Phi4MultimodalAudioEmbedding, tower: AudioTower
) -> None:
    clips = [log_mel(speech(seconds)) for seconds in (39.9, 1.0, 3.3, 0.05, 40.0, 3.0)]
    projectors = ("speech", "vision_speech", "speech", "vision_speech", "vision_speech", "speech")
    alone = [projected(reference, clip, name) for clip, name in zip(clips, projectors, strict=True)]
    batch = AudioInputs(
        features_FM=torch.cat(clips),
        num_frames=tuple(len(clip) for clip in clips),
        projectors=projectors,
        positions=torch.arange(sum(len(tokens) for tokens in alone)),
    )
    torch.testing.assert_close(tower(batch), torch.cat(alone), rtol=0, atol=1e-5)
