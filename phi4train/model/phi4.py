"""The whole model: media encoders fill their slots among the token embeddings, then the language model runs.

Shape suffixes: T tokens of the batch, D model dimension, N tokens of one modality, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import fields, replace

import torch
from torch import Tensor, nn

from phi4train.batch import Batch, MediaInputs
from phi4train.model.attention import PackedAttention, build_segments
from phi4train.model.language_model import LanguageModel
from phi4train.model.rope import build_rotary_table
from phi4train.model.routing import NO_ADAPTER, BatchRouting, RoutingRule, assign_adapters, build_routing


class Phi4Model(nn.Module):
    """A language model with media encoders and LoRA adapters; `components.build_model` makes one.

    Args:
        language_model: the decoder.
        routing_rule: how rows choose their adapter.
    """

    def __init__(self, language_model: LanguageModel, routing_rule: RoutingRule = "sample") -> None:
        super().__init__()
        self.language_model = language_model
        self.encoders = nn.ModuleDict()
        """By modality, as in Batch.media; each maps the modality's inputs to tokens (N, D)."""
        self.adapters: list[str] = []
        """Names of the installed LoRA adapters."""
        self.routing_rule = routing_rule
        self.in_lockstep = False

    def keep_in_lockstep(self) -> None:
        """Makes every batch run every module that learns, on no rows where it has nothing for it.

        Ranks that share one optimizer step may then hold batches of different modes although each of them has
        a part in every reduction.

        Raises:
            ValueError: an encoder cannot run on nothing.
        """
        unable = [name for name, encoder in self.encoders.items() if not hasattr(encoder, "idle_inputs")]
        if unable:
            raise ValueError(
                f"each encoder must have idle_inputs() to train in lockstep · found none of "
                f"{', '.join(unable)} · write it, or choose strategy=ddp or deepspeed_zero2"
            )
        self.in_lockstep = True
        for encoder in self.encoders.values():
            encoder.in_lockstep = True  # type: ignore[assignment]

    @property
    def head_weight(self) -> Tensor:
        """The output head (V, D), which is the embedding matrix."""
        return self.language_model.embed_tokens.weight

    def forward(self, batch: Batch) -> Tensor:
        """Hidden rows after the final norm (T, D); their product with `head_weight` is the logits.

        Raises:
            ValueError: a mode is unknown, a modality has no encoder, or media do not fit their slots.
        """
        return self.decode_batch(self.embed(batch), batch)

    def embed(self, batch: Batch) -> Tensor:
        """Token embeddings with media tokens in their slots (T, D).

        Raises:
            ValueError: a modality has no encoder, or gives more or fewer tokens than it has slots.
        """
        hidden_TD: Tensor = self.language_model.embed_tokens(batch.input_ids_T)
        for modality, inputs in self._media(batch).items():
            if modality not in self.encoders:
                raise ValueError(
                    f"each modality of a batch must have an encoder · found '{modality}' media and "
                    f"encoders for {sorted(self.encoders)} · add the modality's components to the model"
                )
            tokens_ND = self.encoders[modality](inputs)
            if modality not in batch.media:
                hidden_TD = hidden_TD.index_copy(0, inputs.positions[:0], tokens_ND[:0].to(hidden_TD.dtype))
                continue
            if len(tokens_ND) != len(inputs.positions):
                raise ValueError(
                    f"media must fill their slots exactly · found {len(tokens_ND)} {modality} tokens for "
                    f"{len(inputs.positions)} slots · "
                    "check the model's crop and patch size against the data's"
                )
            hidden_TD = hidden_TD.index_copy(0, inputs.positions, tokens_ND.to(hidden_TD.dtype))
        return hidden_TD

    def _media(self, batch: Batch) -> dict[str, MediaInputs]:
        """The media of a batch, and in lockstep an input for each other encoder, all in one order."""
        if not self.in_lockstep:
            return dict(batch.media)
        media = dict(batch.media)
        for name, encoder in self.encoders.items():
            if name not in media:
                media[name] = encoder.idle_inputs()  # type: ignore[operator]
        return {name: _with_gradient(media[name]) for name in sorted(media)}

    def decode_batch(self, embedded_TD: Tensor, batch: Batch) -> Tensor:
        """The second half of `forward`: hidden rows (T, D) from what `embed` returned for `batch`.

        Losses of media tokens call the halves apart: the tokens stand in `embedded_TD`, at the positions of
        their media. Samples in which nothing can learn (text, beside a frozen language model) are decoded
        apart and without gradients.

        Raises:
            ValueError: a mode is unknown.
        """
        adapter_of_T = assign_adapters(batch, self.adapters, self.routing_rule)
        learns = self._learning_samples(batch, adapter_of_T)
        if self.in_lockstep or all(learns) or not any(learns):
            routing = build_routing(adapter_of_T, self.adapters, embedded_TD.device)
            if self.in_lockstep:
                routing = routing.naming_all(self._learning_adapters(), len(embedded_TD))
            return self.decode(embedded_TD, batch.position_ids_T, batch.sample_lengths, routing)
        learns_T = torch.tensor(learns).repeat_interleave(torch.tensor(batch.sample_lengths))
        parts, rows = [], []
        for learn in (True, False):
            rows_N = (learns_T == learn).nonzero().squeeze(1)
            routing = build_routing(adapter_of_T[rows_N], self.adapters, embedded_TD.device)
            rows_N = rows_N.to(embedded_TD.device)
            lengths = [
                length for length, own in zip(batch.sample_lengths, learns, strict=True) if own == learn
            ]
            with torch.set_grad_enabled(learn):
                parts.append(self.decode(embedded_TD[rows_N], batch.position_ids_T[rows_N], lengths, routing))
            rows.append(rows_N)
        return torch.cat(parts).index_select(0, torch.cat(rows).argsort())

    def _learning_adapters(self) -> list[str]:
        """Adapters with parameters that learn, in the order of installation."""
        learning = {name for name, parameter in self.named_parameters() if parameter.requires_grad}
        return [
            adapter
            for adapter in self.adapters
            if any(f".lora_A.{adapter}." in name or f".lora_B.{adapter}." in name for name in learning)
        ]

    def _learning_samples(self, batch: Batch, adapter_of_T: Tensor) -> list[bool]:
        """Whether a gradient can reach anything through each sample."""
        if self.head_weight.requires_grad or not torch.is_grad_enabled():
            return [True] * len(batch.sample_lengths)
        learns_T = adapter_of_T != NO_ADAPTER
        for inputs in batch.media.values():
            learns_T[inputs.positions.cpu()] = True
        return [bool(own_T.any()) for own_T in torch.split(learns_T, list(batch.sample_lengths))]

    def decode(
        self, hidden_TD: Tensor, position_ids_T: Tensor, sample_lengths: Sequence[int], routing: BatchRouting
    ) -> Tensor:
        """The language model over embedded samples laid end to end."""
        attention = self.packed_attention(position_ids_T, sample_lengths)
        decoded: Tensor = self.language_model(hidden_TD, attention, routing)
        return decoded

    def packed_attention(self, position_ids_T: Tensor, sample_lengths: Sequence[int]) -> PackedAttention:
        """How the layers attend over samples laid end to end."""
        shape = self.language_model.shape
        return PackedAttention(
            segments=build_segments(sample_lengths, position_ids_T.device),
            rotary=build_rotary_table(shape, position_ids_T, sample_lengths, sample_lengths),
            num_heads=shape.num_heads,
            num_kv_heads=shape.num_kv_heads,
        )


def _with_gradient(inputs: MediaInputs) -> MediaInputs:
    """The inputs with tensors that autograd follows, so that hooks around an encoder fire at its end."""
    found: MediaInputs = replace(
        inputs,  # type: ignore[type-var]
        **{
            field.name: value.detach().requires_grad_()
            for field in fields(inputs)  # type: ignore[arg-type]
            if isinstance(value := getattr(inputs, field.name), Tensor) and value.is_floating_point()
        },
    )
    return found
