"""Sizes of the model's parts as plain dataclasses (no torch here: the configuration schema nests them).

The defaults are the released Phi-4-Mini and Phi-4-Multimodal values; source: the released config.json
files and the Phi-4-Mini technical report, arXiv 2503.01743.
"""

from dataclasses import dataclass, field
from typing import Annotated

from phi4train.ranges import Above, AtLeast, Below

PHI4_LONG_FACTOR = (
    1.0, 1.118320672, 1.250641126, 1.398617824, 1.564103225, 1.74916897, 1.956131817, 2.187582649,
    2.446418898, 2.735880826, 3.059592084, 3.421605075, 3.826451687, 4.279200023, 4.785517845, 5.351743533,
    5.984965424, 6.693110555, 7.485043894, 8.370679318, 9.36110372, 10.4687158, 11.70738129, 13.09260651,
    14.64173252, 16.37415215, 18.31155283, 20.47818807, 22.90118105, 25.61086418, 28.64115884, 32.03,
    32.1, 32.13, 32.23, 32.6, 32.61, 32.64, 32.66, 32.7, 32.71, 32.93, 32.97, 33.28, 33.49, 33.5, 44.16,
    47.77,
)  # fmt: skip


@dataclass
class RopeShape:
    """Rotary position embedding with LongRoPE: short factors up to `original_context`, long ones beyond."""

    theta: Annotated[float, Above(0)] = 10000.0
    """Base of the rotary frequencies."""
    partial_rotary_factor: float = 0.75
    """Share of each head's dimensions that is rotated; the rest passes through."""
    original_context_tokens: Annotated[int, AtLeast(2)] = 4096
    """Longest sample, in tokens, that uses `short_factor`."""
    max_context_tokens: int = 131072
    """Longest sample, in tokens, that the model is meant for; sets the attention scaling."""
    short_factor: list[Annotated[float, Above(0)]] = field(default_factory=lambda: [1.0] * 48)
    """Divisor of each rotary frequency for short samples; rotary_dim / 2 values."""
    long_factor: list[Annotated[float, Above(0)]] = field(default_factory=lambda: list(PHI4_LONG_FACTOR))
    """Divisor of each rotary frequency for long samples; rotary_dim / 2 values."""


@dataclass
class LanguageModelShape:
    """Decoder-only transformer with fused projections, grouped-query attention and tied embeddings."""

    vocab_size: Annotated[int, Above(0)] = 200064
    """Rows of the embedding, which is also the output layer; at least the tokenizer's size."""
    hidden_dim: Annotated[int, Above(0)] = 3072
    """Width of the model; a multiple of `num_heads`."""
    intermediate_dim: Annotated[int, Above(0)] = 8192
    """Width of the feed-forward layers."""
    num_layers: Annotated[int, Above(0)] = 32
    """Decoder layers."""
    num_heads: Annotated[int, Above(0)] = 24
    """Heads of queries; a multiple of `num_kv_heads`."""
    num_kv_heads: Annotated[int, Above(0)] = 8
    """Heads of keys and values."""
    norm_eps: Annotated[float, AtLeast(0)] = 1e-5
    """Added to the mean square in every norm."""
    initializer_range: Annotated[float, AtLeast(0)] = 0.02
    """Standard deviation of fresh weights."""
    rope: RopeShape = field(default_factory=RopeShape)

    @property
    def head_dim(self) -> int:
        """Dimension of one attention head."""
        return self.hidden_dim // self.num_heads

    @property
    def rotary_dim(self) -> int:
        """Rotated dimensions of one head."""
        return int(self.head_dim * self.rope.partial_rotary_factor)

    @property
    def num_parameters(self) -> int:
        """Parameters of the language model; the tied embedding counts once."""
        qkv_rows = self.hidden_dim + 2 * self.num_kv_heads * self.head_dim
        attention = self.hidden_dim * (qkv_rows + self.hidden_dim)
        mlp = 3 * self.hidden_dim * self.intermediate_dim
        layer = attention + mlp + 2 * self.hidden_dim
        return self.vocab_size * self.hidden_dim + self.num_layers * layer + self.hidden_dim


@dataclass
class VisionShape:
    """SigLIP-style encoder of square crops, 2x2 token merge, two-layer projector."""

    hidden_dim: Annotated[int, Above(0)] = 1152
    """Width of the encoder; a multiple of `num_heads`."""
    intermediate_dim: Annotated[int, Above(0)] = 4304
    """Width of the feed-forward layers."""
    num_layers: Annotated[int, AtLeast(2)] = 27
    """Layers of the released encoder; the last one is never used and not allocated for training."""
    num_heads: Annotated[int, Above(0)] = 16
    """Attention heads."""
    crop_size: Annotated[int, Above(0)] = 448
    """Side of a crop in pixels."""
    patch_size: Annotated[int, Above(0)] = 14
    """Side of a patch in pixels; crop_size / patch_size must be even."""
    norm_eps: Annotated[float, AtLeast(0)] = 1e-6
    """Added to the variance in every norm."""


@dataclass
class AudioShape:
    """Conformer encoder of log-mel features at an eighth of their rate, and its two-layer projectors."""

    num_mels: int = 80
    """Mel bands of a feature frame."""
    hidden_dim: Annotated[int, Above(0)] = 1024
    """Width of the encoder; a multiple of `num_heads`."""
    intermediate_dim: Annotated[int, Above(0)] = 1536
    """Width of the feed-forward layers."""
    num_layers: Annotated[int, Above(0)] = 24
    """Conformer blocks."""
    num_heads: Annotated[int, Above(0)] = 16
    """Attention heads."""
    subsampling_channels: Annotated[int, Above(0)] = 1024
    """Channels of the three convolutions that each halve time and frequency."""
    conv_kernel_size: Annotated[int, Above(0)] = 3
    """Width of the causal depthwise convolution in each block, in tokens."""
    window_tokens: Annotated[int, Above(0)] = 500
    """Longest stretch that attends to itself, in tokens of 80 ms; longer clips are cut into such windows."""
    bias_max_distance: Annotated[int, Above(0)] = 500
    """Distance, in tokens, beyond which the relative attention bias stays the same."""
    norm_eps: Annotated[float, AtLeast(0)] = 1e-5
    """Added to the variance in every norm."""
    dropout: Annotated[float, AtLeast(0), Below(1)] = 0.0
    """Share of activations that are dropped in training."""


@dataclass
class LoraShape:
    """One low-rank adapter over the four fused linear layers of every decoder layer."""

    r: Annotated[int, Above(0)] = 256
    """Rank."""
    alpha: int = 512
    """What the adapter adds is multiplied by alpha / r."""
    dropout: Annotated[float, AtLeast(0), Below(1)] = 0.0
    """Share of the adapter's inputs that are dropped in training."""


@dataclass
class ModelShape:
    """Sizes of all parts; which parts exist in a run is decided by its components."""

    language_model: LanguageModelShape = field(default_factory=LanguageModelShape)
    vision: VisionShape = field(default_factory=VisionShape)
    audio: AudioShape = field(default_factory=AudioShape)
    lora: dict[str, LoraShape] = field(
        default_factory=lambda: {"vision": LoraShape(), "speech": LoraShape(320, 640, 0.01)}
    )
    """Adapters by name; the component of adapter `x` is `lora.x`."""
    extra: dict[str, float] = field(default_factory=dict)
    """Sizes of components that `imports` add, as `<component>.<size>`; the others keep their defaults."""
