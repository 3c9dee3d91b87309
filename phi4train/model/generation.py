"""Generates continuations of packed prompts together, with a key-value cache.

    prompts (T) ──► prefill: packed attention, fills the cache ──► token ──► decode: one row a sample ──► …

Finished samples leave the batch. A sample that grows beyond the original context changes its rotary factors,
so its whole cache is computed anew at that token, as the reference does.

Shape suffixes: T tokens, B unfinished samples, S cache slots of a sample, X query + key + value heads,
H query heads, G key heads, K head dimension, D model dimension, V vocabulary.
Source: transformers, models/phi3/modeling_phi3.py (`prepare_inputs_for_generation`); top-p: arXiv 1904.09751.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from phi4train.batch import Batch
from phi4train.model.attention import PackedAttention
from phi4train.model.phi4 import Phi4Model
from phi4train.model.rope import RotaryTable, build_rotary_table, rotate, uses_long_factor
from phi4train.model.routing import NO_ADAPTER, assign_adapters, build_routing


def go_on() -> None:
    """What is done at a boundary where nothing is to be done."""


@torch.no_grad()
def generate(
    model: Phi4Model,
    batch: Batch,
    max_new_tokens: int,
    stop_ids: Collection[int],
    temperature: float = 0.0,
    top_p: float = 1.0,
    generator: torch.Generator | None = None,
    at_boundary: Callable[[], object] = go_on,
) -> list[list[int]]:
    """The new ids of each sample, without the stop id; a sample with fewer than the maximum has stopped.

    LoRA dropout stays active in train mode: call `model.eval()` first.

    Args:
        model: any mix of components.
        batch: prompts, with media; labels are not read.
        max_new_tokens: most new ids of a sample, at least 1.
        stop_ids: each of them ends its sample.
        temperature: 0 takes the likeliest token; higher values flatten the distribution that is sampled.
        top_p: samples among the likeliest tokens that together hold this probability, in (0, 1].
        generator: random source of the sampling, on the model's device; None means torch's global one.
        at_boundary: called before each new token; what it raises ends the generation.

    Raises:
        ValueError: an argument is out of range, or the batch does not fit the model.
    """
    if max_new_tokens < 1 or temperature < 0 or not 0 < top_p <= 1:
        raise ValueError(
            "generation needs max_new_tokens >= 1, temperature >= 0 and 0 < top_p <= 1 · "
            f"found {max_new_tokens}, {temperature} and {top_p} · change the one out of range"
        )
    samples = _open_samples(model, batch)
    unfinished = list(samples)
    cache = _Cache.allocate(model, samples, max_new_tokens)
    hidden_BD = _prefill(model, cache, samples, slots=list(range(len(samples))))
    for _ in range(max_new_tokens):
        at_boundary()
        logits_BV = (hidden_BD @ model.head_weight.T).float()
        ids = choose_tokens(logits_BV, temperature, top_p, generator).tolist()
        kept = [slot for slot, token in enumerate(ids) if token not in stop_ids]
        for slot in kept:
            unfinished[slot].new_ids.append(ids[slot])
        kept = [slot for slot in kept if len(unfinished[slot].new_ids) < max_new_tokens]
        if not kept:
            break
        if len(kept) < len(unfinished):
            cache = cache.select(kept)
            unfinished = [unfinished[slot] for slot in kept]
        hidden_BD = _decode(model, cache, unfinished)
    return [sample.new_ids for sample in samples]


def choose_tokens(
    logits_BV: Tensor, temperature: float, top_p: float, generator: torch.Generator | None
) -> Tensor:
    """One id a row, int64 (B,): the likeliest at temperature 0, else sampled among the top-p tokens."""
    if temperature == 0:
        return logits_BV.argmax(dim=-1)
    probabilities_BV, order_BV = (logits_BV / temperature).softmax(dim=-1).sort(dim=-1, descending=True)
    before_BV = probabilities_BV.cumsum(dim=-1) - probabilities_BV
    drawn_B1 = torch.multinomial(probabilities_BV.where(before_BV < top_p, 0), 1, generator=generator)
    return order_BV.gather(1, drawn_B1).squeeze(1)


@dataclass
class _Sample:
    """A prompt and what has been generated from it; adapters are indices into `Phi4Model.adapters`."""

    prompt_TD: Tensor
    adapter_of_T: Tensor
    adapter_of_new: int
    new_ids: list[int] = field(default_factory=list)

    @property
    def length(self) -> int:
        return len(self.prompt_TD) + len(self.new_ids)


def _open_samples(model: Phi4Model, batch: Batch) -> list[_Sample]:
    lengths = list(batch.sample_lengths)
    adapters = torch.split(assign_adapters(batch, model.adapters, model.routing_rule), lengths)
    prompts = torch.split(model.embed(batch), lengths)
    by_sample = model.routing_rule == "sample"
    return [
        _Sample(prompt_TD, adapter_of_T, int(adapter_of_T[0]) if by_sample else NO_ADAPTER)
        for prompt_TD, adapter_of_T in zip(prompts, adapters, strict=True)
    ]


@dataclass(frozen=True)
class _Cache:
    """Rotated keys and values of every layer, (B, S, G, K) each; sample b fills its first slots."""

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]

    @classmethod
    def allocate(cls, model: Phi4Model, samples: Sequence[_Sample], max_new_tokens: int) -> "_Cache":
        shape = model.language_model.shape
        size = (
            len(samples),
            max(sample.length for sample in samples) + max_new_tokens,
            shape.num_kv_heads,
            shape.head_dim,
        )
        dtype = _projection_dtype(samples[0].prompt_TD)
        # zeros, for what is not finite would pass the mask (0 * NaN)
        zeros = [samples[0].prompt_TD.new_zeros(size, dtype=dtype) for _ in range(2 * shape.num_layers)]
        return cls(tuple(zeros[::2]), tuple(zeros[1::2]))

    def select(self, slots: Sequence[int]) -> "_Cache":
        index = torch.tensor(slots, device=self.keys[0].device)
        keys = tuple(key.index_select(0, index) for key in self.keys)
        return _Cache(keys, tuple(value.index_select(0, index) for value in self.values))

    def write(self, layer: int, qkv_TXK: Tensor, num_heads: int, slot_T: Tensor, position_T: Tensor) -> None:
        key_TGK, value_TGK = qkv_TXK[:, num_heads:].chunk(2, dim=1)
        self.keys[layer][slot_T, position_T] = key_TGK
        self.values[layer][slot_T, position_T] = value_TGK


def _projection_dtype(hidden: Tensor) -> torch.dtype:
    device = hidden.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden.dtype


@dataclass(frozen=True)
class _PrefillAttention:
    """Packed attention that also fills the cache."""

    packed: PackedAttention
    cache: _Cache
    slot_T: Tensor
    position_T: Tensor

    def attend(self, layer: int, qkv_TXK: Tensor) -> Tensor:
        packed = self.packed
        rotated_TXK = rotate(qkv_TXK, packed.rotary, packed.num_heads + packed.num_kv_heads)
        self.cache.write(layer, rotated_TXK, packed.num_heads, self.slot_T, self.position_T)
        return packed.attend_rotated(rotated_TXK)


@dataclass(frozen=True)
class _DecodeAttention:
    """Attention of one new row a sample over that sample's cache."""

    cache: _Cache
    rotary: RotaryTable
    num_heads: int
    num_kv_heads: int
    slot_B: Tensor
    position_B: Tensor
    mask_B11S: Tensor

    def attend(self, layer: int, qkv_BXK: Tensor) -> Tensor:
        rotated_BXK = rotate(qkv_BXK, self.rotary, self.num_heads + self.num_kv_heads)
        self.cache.write(layer, rotated_BXK, self.num_heads, self.slot_B, self.position_B)
        filled = self.mask_B11S.shape[-1]
        out_BH1K = scaled_dot_product_attention(
            rotated_BXK[:, : self.num_heads, None],
            self.cache.keys[layer][:, :filled].transpose(1, 2),
            self.cache.values[layer][:, :filled].transpose(1, 2),
            attn_mask=self.mask_B11S,
            enable_gqa=True,
        )
        return out_BH1K.squeeze(2)


def _prefill(model: Phi4Model, cache: _Cache, samples: Sequence[_Sample], slots: Sequence[int]) -> Tensor:
    """Fills the cache slots of `samples` anew; returns the hidden rows of their last tokens (B, D)."""
    device = samples[0].prompt_TD.device
    lengths = torch.tensor([sample.length for sample in samples])
    position_T = torch.cat([torch.arange(sample.length) for sample in samples]).to(device)
    slot_T = torch.tensor(slots).repeat_interleave(lengths).to(device)
    parts, adapters = [], []
    for sample in samples:
        new_ids = torch.tensor(sample.new_ids, dtype=torch.int64, device=device)
        parts += [sample.prompt_TD, model.language_model.embed_tokens(new_ids)]
        adapters += [sample.adapter_of_T, torch.full((len(sample.new_ids),), sample.adapter_of_new)]
    packed = model.packed_attention(position_T, lengths.tolist())
    hidden_TD = model.language_model(
        torch.cat(parts),
        _PrefillAttention(packed, cache, slot_T, position_T),
        build_routing(torch.cat(adapters), model.adapters, device),
    )
    last_rows: Tensor = hidden_TD[(lengths.cumsum(0) - 1).to(device)]
    return last_rows


def _decode(model: Phi4Model, cache: _Cache, samples: Sequence[_Sample]) -> Tensor:
    """Runs each sample's newest token; returns its hidden row (B, D)."""
    shape = model.language_model.shape
    crossing = [
        slot
        for slot, sample in enumerate(samples)
        if uses_long_factor(shape.rope, sample.length) and not uses_long_factor(shape.rope, sample.length - 1)
    ]
    if crossing:
        _prefill(model, cache, [samples[slot] for slot in crossing], crossing)
    device = samples[0].prompt_TD.device
    lengths = [sample.length for sample in samples]
    position_B = torch.tensor(lengths, device=device) - 1
    attention = _DecodeAttention(
        cache=cache,
        rotary=build_rotary_table(shape, position_B, lengths, [1] * len(samples)),
        num_heads=shape.num_heads,
        num_kv_heads=shape.num_kv_heads,
        slot_B=torch.arange(len(samples), device=device),
        position_B=position_B,
        mask_B11S=(torch.arange(max(lengths), device=device) <= position_B[:, None])[:, None, None],
    )
    ids = torch.tensor([sample.new_ids[-1] for sample in samples], device=device)
    routing = build_routing(torch.tensor([s.adapter_of_new for s in samples]), model.adapters, device)
    hidden_BD: Tensor = model.language_model(model.language_model.embed_tokens(ids), attention, routing)
    return hidden_BD
