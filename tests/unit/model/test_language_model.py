from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from phi4train.batch import Batch
from phi4train.model.activation_checkpointing import set_activation_checkpointing
from phi4train.model.components import parameters_of
from phi4train.model.phi4 import Phi4Model
from phi4train.objectives.next_token import linear_cross_entropy

Make = Callable[..., Batch]
MakeModel = Callable[..., Phi4Model]
Split = Callable[[Batch], list[Batch]]
VISION = ("vision_encoder", "vision_projector")


def _loss(model: Phi4Model, batch: Batch) -> Tensor:
    return linear_cross_entropy(model(batch), model.head_weight, batch.labels_T)[0]


def _gradients(model: Phi4Model) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def test_packed_samples_give_the_loss_and_gradients_of_separate_ones(
    make_model: MakeModel, make_batch: Make, split_batch: Split
) -> None:
    model, batch = make_model(), make_batch((5, 40, 1, 17, 18, 25))  # 25 and 40 use the long factors
    packed_loss = _loss(model, batch) / batch.num_targets
    packed_loss.backward()
    packed = _gradients(model)
    model.zero_grad()
    losses = [_loss(model, one) / batch.num_targets for one in split_batch(batch)]
    for loss in losses:
        loss.backward()
    torch.testing.assert_close(packed_loss, torch.stack(losses).sum(), atol=1e-5, rtol=0)
    for name, gradient in _gradients(model).items():
        torch.testing.assert_close(packed[name], gradient, atol=1e-5, rtol=0)


def test_changing_a_token_changes_nothing_before_it_and_nothing_in_other_samples(
    make_model: MakeModel, make_batch: Make
) -> None:
    model, batch = make_model(), make_batch((6, 8, 5))
    before = model(batch)
    batch.input_ids_T[9] = (batch.input_ids_T[9] + 1) % 60
    after = model(batch)
    changed = (before != after).any(dim=1).nonzero().squeeze(1).tolist()
    assert changed == list(range(9, 14))


def test_a_short_sample_keeps_its_short_factors_beside_a_long_one(
    make_model: MakeModel, make_batch: Make
) -> None:
    model, batch = make_model(), make_batch((24, 25))
    alone = make_batch((24,))
    alone.input_ids_T.copy_(batch.input_ids_T[:24])
    torch.testing.assert_close(model(batch)[:24], model(alone), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "trainable",
    [
        ("language_model",),
        ("vision_projector",),
        VISION,
        (*VISION, "lora.vision"),
        ("language_model", *VISION, "lora.vision"),
    ],
)
def test_gradients_are_equal_with_and_without_checkpointing(
    make_model: MakeModel, make_batch: Make, trainable: tuple[str, ...]
) -> None:
    model = make_model(*VISION, "lora.vision").requires_grad_(False)
    for name in trainable:
        for parameter in parameters_of(model, name).values():
            parameter.requires_grad_(True)
    batch = make_batch((16, 9), ("vision", "text"), images=(0,))
    _loss(model, batch).backward()
    plain = _gradients(model)
    model.zero_grad()
    set_activation_checkpointing(model, ["language_model", "vision_encoder"])
    _loss(model, batch).backward()
    recomputed = _gradients(model)
    assert (
        {name for name, p in model.named_parameters() if p.requires_grad} == plain.keys() == recomputed.keys()
    )
    assert all(torch.equal(gradient, recomputed[name]) for name, gradient in plain.items())
    assert all(gradient.abs().sum() > 0 for gradient in plain.values())


def test_a_text_batch_with_nothing_to_train_records_no_graph(make_model: MakeModel, make_batch: Make) -> None:
    model = make_model(*VISION).requires_grad_(False)
    for parameter in parameters_of(model, "vision_projector").values():
        parameter.requires_grad_(True)
    loss = _loss(model, make_batch((5, 6)))
    assert not loss.requires_grad
    assert loss > 0


def test_the_tied_embedding_gets_the_gradient_of_both_uses(make_model: MakeModel, make_batch: Make) -> None:
    model, batch = make_model(), make_batch((9, 7))
    (ours,) = torch.autograd.grad(_loss(model, batch), [model.head_weight])
    logits = model(batch) @ model.head_weight.T
    loss = torch.nn.functional.cross_entropy(logits, batch.labels_T, reduction="sum")
    (expected,) = torch.autograd.grad(loss, [model.head_weight])
    torch.testing.assert_close(ours, expected, atol=1e-4, rtol=1e-5)


def test_the_model_runs_under_autocast_and_in_bfloat16(make_model: MakeModel, make_batch: Make) -> None:
    model = make_model(*VISION, "lora.vision", "lora.speech")
    batch = make_batch((16, 9, 30), ("vision", "text", "speech"), images=(0,))
    expected = _loss(model, batch) / batch.num_targets
    with torch.autocast("cpu", torch.bfloat16):
        mixed = _loss(model, batch) / batch.num_targets
    mixed.backward()
    pure_model = model.to(torch.bfloat16)
    pure = _loss(pure_model, batch) / batch.num_targets
    pure_model.zero_grad()
    pure.backward()
    for loss in (mixed, pure):
        assert loss.dtype == torch.float32
        torch.testing.assert_close(loss, expected, atol=0.05, rtol=0.02)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in pure_model.parameters())
