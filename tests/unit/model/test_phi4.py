"""A packed batch of all modes gives each sample the logits and gradients that it has alone."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor

from phi4train.batch import Batch
from phi4train.model.components import parameters_of
from phi4train.model.lora import RoutedLoraLinear
from phi4train.model.phi4 import Phi4Model
from phi4train.model.routing import BatchRouting
from phi4train.objectives.next_token import linear_cross_entropy
from tests.unit.model.mixed_samples import cast, laid_end_to_end, sample

Make = Callable[..., Batch]
MakeModel = Callable[..., Phi4Model]
VISION = ("vision_encoder", "vision_projector")
COMPONENTS = (
    *("vision_encoder", "vision_projector", "audio_encoder", "audio_projector.speech"),
    *("audio_projector.vision_speech", "lora.vision", "lora.speech"),
)
SAMPLES = (
    sample("text", seed=0),
    sample("vision_speech", seed=1),
    sample("speech", seed=2, frames=41),
    sample("vision", seed=3, grids=((1, 1), (2, 1))),
    sample("text", seed=4),
    sample("speech", seed=5),
    sample("vision_speech", seed=6, grids=((1, 1),), frames=8),
)
"""Modes in no order, media of several sizes, one clip longer than the audio encoder's window."""


BY_MODE = sorted(SAMPLES, key=lambda one: one.modes)
"""The order of the loader, in which the rows of an adapter are adjacent."""

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}
"""Of the largest logit, or of the largest gradient of any parameter, where that is above 1."""


def logits_and_gradients(
    batches: Sequence[Batch], forward: Callable[[Batch], Tensor], model: Phi4Model
) -> tuple[Tensor, dict[str, Tensor]]:
    """Logits of all batches end to end, and the gradients of the mean loss over all of their targets."""
    model.zero_grad()
    num_targets = sum(batch.num_targets for batch in batches)
    logits = []
    for batch in batches:
        hidden_TD = forward(batch)
        logits.append((hidden_TD @ model.head_weight.T).detach())
        loss_sum, _ = linear_cross_entropy(hidden_TD, model.head_weight, batch.labels_T)
        if loss_sum.requires_grad:
            (loss_sum / num_targets).backward()
    return torch.cat(logits), {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def assert_near(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    largest = max(1.0, *(float(tensor.abs().max()) for tensor in expected.values()))
    for name, tensor in found.items():
        moved = float((tensor - expected[name]).abs().max())
        assert moved <= TOLERANCE[tensor.dtype] * largest, (
            f"{name} moved by {moved}, the largest is {largest}"
        )


def assert_same(
    packed: tuple[Tensor, dict[str, Tensor]], alone: tuple[Tensor, dict[str, Tensor]], model: Phi4Model
) -> None:
    """Equal logits, and equal gradients of every parameter there is; no component is left without."""
    assert_near({"logits": packed[0]}, {"logits": alone[0]})
    assert packed[1].keys() == dict(model.named_parameters()).keys()
    assert_near(packed[1], alone[1])
    for component in ("language_model", *COMPONENTS):
        assert all(p.grad is not None for p in parameters_of(model, component).values())
        assert any(p.grad.abs().max() > 1e-3 for p in parameters_of(model, component).values()), component


@pytest.mark.parametrize("order", [SAMPLES, BY_MODE], ids=["any order", "by mode"])
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_by_sample_a_mixed_batch_equals_one_run_per_sample(
    make_model: MakeModel, dtype: torch.dtype, order: Sequence[Batch]
) -> None:
    model, samples = make_model(*COMPONENTS).to(dtype), [cast(one, dtype) for one in order]
    packed = logits_and_gradients([laid_end_to_end(samples)], model, model)
    assert_same(packed, logits_and_gradients(samples, model, model), model)


@pytest.mark.parametrize("rule", ["sample", "token"])
def test_text_beside_a_frozen_language_model_is_decoded_without_gradients(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch, rule: str
) -> None:
    model = make_model(*COMPONENTS, routing_rule=rule)
    for parameter in parameters_of(model, "language_model").values():
        parameter.requires_grad_(False)
    alone = logits_and_gradients(SAMPLES, model, model)
    decoded: list[tuple[bool, int]] = []

    def decode(
        hidden_TD: Tensor, position_ids_T: Tensor, lengths: Sequence[int], routing: BatchRouting
    ) -> Tensor:
        decoded.append((torch.is_grad_enabled(), len(lengths)))
        return Phi4Model.decode(model, hidden_TD, position_ids_T, lengths, routing)

    monkeypatch.setattr(model, "decode", decode)
    packed = logits_and_gradients([laid_end_to_end(SAMPLES)], model, model)
    assert decoded == [(True, 5), (False, 2)]
    assert_near({"logits": packed[0]}, {"logits": alone[0]})
    assert_near(packed[1], alone[1])
    with torch.no_grad():
        model(laid_end_to_end(SAMPLES))
    assert decoded[2:] == [(False, 7)]
    with torch.autocast("cpu", torch.bfloat16):
        halved, _ = logits_and_gradients([laid_end_to_end(SAMPLES)], model, model)
    assert (halved.float() - alone[0]).abs().max() < 0.2 * alone[0].abs().max()


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_by_token_a_mixed_batch_equals_a_plain_forward_of_each_sample(
    make_model: MakeModel, dtype: torch.dtype
) -> None:
    model = make_model(*COMPONENTS, routing_rule="token").to(dtype)
    samples = [cast(one, dtype) for one in SAMPLES]
    plain = deepcopy(model)
    packed = logits_and_gradients([laid_end_to_end(samples)], model, model)
    assert_same(packed, logits_and_gradients(samples, partial(plain_forward, plain), plain), model)


def plain_forward(model: Phi4Model, batch: Batch) -> Tensor:
    """Both adapters applied to every token, each multiplied by whether the token is of its modality."""
    on_T = {
        adapter: torch.zeros(len(batch.input_ids_T), dtype=model.head_weight.dtype)
        for adapter in ("vision", "speech")
    }
    for modality, adapter in (("image", "vision"), ("audio", "speech")):
        if modality in batch.media:
            on_T[adapter][batch.media[modality].positions] = 1.0

    def adapted(layer: RoutedLoraLinear, x_TD: Tensor, routing: BatchRouting) -> Tensor:
        out = x_TD @ layer.base_layer.weight.T
        for adapter, scale in (("vision", 8 / 4), ("speech", 6 / 3)):
            low_rank = x_TD @ layer.lora_A[adapter].weight.T
            out = out + on_T[adapter][:, None] * (scale * (low_rank @ layer.lora_B[adapter].weight.T))
        return out

    for module in model.modules():
        if isinstance(module, RoutedLoraLinear):
            module.forward = partial(adapted, module)  # type: ignore[method-assign]
    return model(batch)


@torch.no_grad()
def test_the_rules_differ_where_a_sample_has_media_and_agree_where_it_has_none(make_model: MakeModel) -> None:
    by_sample, by_token = (make_model(*COMPONENTS, routing_rule=rule) for rule in ("sample", "token"))
    for one in SAMPLES:
        moved = float((by_sample(one) - by_token(one)).abs().max())
        assert (moved > 1e-2) == (one.modes != ("text",)), one.keys


@pytest.mark.parametrize("order", [SAMPLES, BY_MODE], ids=["any order", "by mode"])
@pytest.mark.parametrize("rule", ["sample", "token"])
@torch.no_grad()
def test_text_stays_bit_identical_beside_media_in_a_batch_of_the_same_lengths(
    make_model: MakeModel, rule: str, order: Sequence[Batch]
) -> None:
    mixed = laid_end_to_end(order)
    all_text = replace(mixed, modes=("text",) * len(SAMPLES), media={})
    beside_media = make_model(*COMPONENTS, routing_rule=rule)(mixed).split(mixed.sample_lengths)
    beside_text = make_model()(all_text).split(mixed.sample_lengths)
    for mode, one, other in zip(mixed.modes, beside_media, beside_text, strict=True):
        assert torch.equal(one, other) == (mode == "text")


@torch.no_grad()
def test_a_sample_moves_by_rounding_alone_in_a_batch_of_other_lengths(make_model: MakeModel) -> None:
    model, mixed = make_model(*COMPONENTS), laid_end_to_end(SAMPLES)
    for packed, alone in zip(model(mixed).split(mixed.sample_lengths), map(model, SAMPLES), strict=True):
        torch.testing.assert_close(packed, alone, atol=1e-5, rtol=1e-5)


def test_image_tokens_fill_their_slots(make_model: MakeModel, make_batch: Make) -> None:
    model, batch = make_model(*VISION), make_batch((4, 20), ("text", "vision"), images=(1,))
    embedded = model.embed(batch)
    torch.testing.assert_close(embedded[4:17], model.encoders["image"](batch.media["image"]))
    torch.testing.assert_close(embedded[17:], model.language_model.embed_tokens(batch.input_ids_T[17:]))


def test_media_without_an_encoder_are_refused(make_model: MakeModel, make_batch: Make) -> None:
    with pytest.raises(ValueError, match="found 'image' media and encoders for"):
        make_model()(make_batch((20,), ("vision",), images=(0,)))


def test_tokens_that_do_not_fill_their_slots_are_refused(make_model: MakeModel, make_batch: Make) -> None:
    model, batch = make_model(*VISION), make_batch((20,), ("vision",), images=(0,))

    class OneTokenTooFew(torch.nn.Module):
        def forward(self, inputs: object) -> Tensor:
            return torch.zeros(12, 64)

    model.encoders["image"] = OneTokenTooFew()
    with pytest.raises(ValueError, match="found 12 image tokens for 13 slots"):
        model(batch)


@pytest.mark.parametrize("modes", [("text",), ("vision",), ("speech",), ("text", "vision_speech")])
def test_in_lockstep_all_that_learns_runs_and_nothing_else_changes(
    make_model: MakeModel, modes: tuple[str, ...]
) -> None:
    """What a batch has no rows for gets gradients of zero; the logits and all others are as before."""
    model = make_model(*COMPONENTS)
    model.requires_grad_(True)
    batch = laid_end_to_end([one for one in BY_MODE if one.modes[0] in modes])
    free_logits, free = logits_and_gradients([batch], model, model)
    model.keep_in_lockstep()
    logits, gradients = logits_and_gradients([batch], model, model)
    assert torch.equal(logits, free_logits)
    assert gradients.keys() == dict(model.named_parameters()).keys()
    for name, gradient in gradients.items():
        if name in free:
            torch.testing.assert_close(gradient, free[name], rtol=1e-4, atol=1e-6)
        else:
            assert not gradient.any(), name
    assert len(free) < len(gradients) or modes == ("text", "vision_speech")


def test_an_encoder_that_cannot_run_on_nothing_is_refused_in_lockstep(make_model: MakeModel) -> None:
    model = make_model(*VISION)
    model.encoders["sensor"] = torch.nn.Linear(2, 2)
    with pytest.raises(ValueError, match=r"idle_inputs\(\) .* found none of sensor · write it"):
        model.keep_in_lockstep()
