"""Rows with an adapter get its share; all others stay as the base layer gives them in the same batch."""

from collections.abc import Callable

import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import Tensor

from phi4train.batch import Batch
from phi4train.model.activation_checkpointing import set_activation_checkpointing
from phi4train.model.components import parameters_of, state_of
from phi4train.model.lora import LORA_TARGETS, RoutedLoraLinear
from phi4train.model.phi4 import Phi4Model
from phi4train.model.routing import (
    NO_ADAPTER,
    adapter_of_mode,
    assign_adapters,
)
from phi4train.modes import Mode, add_mode, forget_kind
from phi4train.objectives.next_token import linear_cross_entropy

Make = Callable[..., Batch]
MakeModel = Callable[..., Phi4Model]
Split = Callable[[Batch], list[Batch]]
LORAS = ("lora.vision", "lora.speech")
FOUR_MODES = ("text", "vision", "speech", "vision_speech")


def _gradients(model: Phi4Model, batches: list[Batch]) -> dict[str, Tensor]:
    """Of the mean loss over all targets of `batches`."""
    model.zero_grad()
    num_targets = sum(batch.num_targets for batch in batches)
    for batch in batches:
        loss_sum, _ = linear_cross_entropy(model(batch), model.head_weight, batch.labels_T)
        (loss_sum / num_targets).backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def test_a_text_batch_is_bit_identical_to_the_bare_language_model(
    make_model: MakeModel, make_batch: Make
) -> None:
    batch = make_batch((7, 12, 30))
    assert torch.equal(make_model(*LORAS)(batch), make_model()(batch))


def test_text_stays_bit_identical_beside_samples_with_adapters_in_a_batch_of_the_same_lengths(
    make_model: MakeModel, make_batch: Make
) -> None:
    batch = make_batch((9, 9, 9, 9), FOUR_MODES)
    assert torch.equal(make_model(*LORAS)(batch)[:9], make_model()(batch)[:9])


def test_a_fresh_adapter_changes_nothing(make_model: MakeModel, make_batch: Make) -> None:
    batch = make_batch((7, 5), ("vision", "speech"))
    model = make_model(*LORAS)
    with torch.no_grad():
        for name in LORAS:
            for key, parameter in parameters_of(model, name).items():
                if "lora_B" in key:
                    parameter.zero_()
    torch.testing.assert_close(model(batch), make_model()(batch), atol=0, rtol=0)


def test_a_mixed_batch_gives_each_samples_own_logits_and_gradients(
    make_model: MakeModel, make_batch: Make, split_batch: Split
) -> None:
    model = make_model(*LORAS)
    batch = make_batch((5, 11, 30, 8), FOUR_MODES)
    alone = split_batch(batch)
    torch.testing.assert_close(model(batch), torch.cat([model(one) for one in alone]), atol=1e-5, rtol=1e-5)
    packed, separate = _gradients(model, [batch]), _gradients(model, alone)
    assert packed.keys() == separate.keys() == dict(model.named_parameters()).keys()
    for name, gradient in packed.items():
        torch.testing.assert_close(gradient, separate[name], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("mode, adapter", [("vision", "vision"), ("speech", "speech")])
def test_one_adapter_equals_plain_peft_in_output_and_gradient(
    make_model: MakeModel, make_batch: Make, mode: str, adapter: str
) -> None:
    ours, plain = make_model(f"lora.{adapter}"), make_model()
    shape = {"vision": (4, 8), "speech": (3, 6)}[adapter]
    config = LoraConfig(r=shape[0], lora_alpha=shape[1], target_modules=LORA_TARGETS)
    _let_peft_adapt(plain, config)
    weights = ours.language_model.state_dict()
    renamed = {key.replace(f".{adapter}.", ".default."): value for key, value in weights.items()}
    plain.language_model.load_state_dict(renamed)
    batch = make_batch((6, 13), (mode, mode))
    as_text = make_batch((6, 13))  # plain peft adapts every row, whatever the mode
    torch.testing.assert_close(ours(batch), plain(as_text), atol=1e-6, rtol=1e-6)
    our_gradients, plain_gradients = _gradients(ours, [batch]), _gradients(plain, [as_text])
    for name, gradient in our_gradients.items():
        if "lora_" in name:
            expected = plain_gradients[name.replace(f".{adapter}.", ".default.")]
            torch.testing.assert_close(gradient, expected, atol=1e-5, rtol=1e-5)
            assert gradient.abs().sum() > 0


def _let_peft_adapt(model: Phi4Model, config: LoraConfig) -> None:
    """peft's own LoRA layers around the bare linears; peft passes the routing through to them."""
    inject_adapter_in_model(config, model.language_model)
    assert not any(isinstance(module, RoutedLoraLinear) for module in model.modules())


def test_by_token_only_the_image_slots_are_adapted(make_model: MakeModel, make_batch: Make) -> None:
    model = make_model("vision_encoder", "vision_projector", *LORAS, routing_rule="token")
    batch = make_batch((20, 6), ("vision", "speech"), images=(0,))
    adapters_T = assign_adapters(batch, model.adapters, "token")
    assert adapters_T.tolist() == [0] * 13 + [NO_ADAPTER] * 13


@pytest.mark.parametrize("modes", [("vision", "text", "speech"), ("vision", "speech", "vision")])
def test_half_precision_routes_the_same_rows(
    make_model: MakeModel, make_batch: Make, split_batch: Split, modes: tuple[str, ...]
) -> None:
    model, batch = make_model(*LORAS), make_batch((5, 7, 6), modes)
    with torch.autocast("cpu", torch.bfloat16):
        packed = _gradients(model, [batch])
        separate = _gradients(model, split_batch(batch))
    for name, gradient in packed.items():
        torch.testing.assert_close(gradient, separate[name], atol=3e-2, rtol=3e-2)


def test_an_unknown_mode_is_refused_with_the_nearest_name(make_model: MakeModel, make_batch: Make) -> None:
    with pytest.raises(ValueError, match=r"found 'vison' \(did you mean 'vision'\?\)"):
        make_model()(make_batch((3,), ("vison",)))


def test_a_new_mode_has_its_adapter_until_its_media_are_forgotten() -> None:
    add_mode(Mode("depth", ("depth",), "speech"))
    assert adapter_of_mode("depth") == "speech"
    forget_kind("depth")
    with pytest.raises(ValueError, match="mode must be registered · found 'depth'"):
        adapter_of_mode("depth")


def test_dropout_acts_on_the_adapters_input_in_train_mode_alone(
    make_model: MakeModel, make_batch: Make
) -> None:
    model = make_model("lora.vision", dropout=0.5)
    batch, text = make_batch((8,), ("vision",)), make_batch((8,))
    assert torch.equal(model(batch), model(batch))
    model.train()
    assert not torch.equal(model(batch), model(batch))
    assert torch.equal(model(text), model(text))


def test_checkpointed_layers_recompute_the_same_dropout_and_routing(
    make_model: MakeModel, make_batch: Make
) -> None:
    model = make_model(*LORAS, dropout=0.5).train()
    batch = make_batch((5, 11, 30, 8), FOUR_MODES)
    torch.manual_seed(0)
    plain = _gradients(model, [batch])
    set_activation_checkpointing(model, ["language_model"])
    torch.manual_seed(0)
    recomputed = _gradients(model, [batch])
    assert plain.keys() == recomputed.keys()
    assert all(torch.equal(gradient, recomputed[name]) for name, gradient in plain.items())


def test_two_forwards_of_other_modes_before_one_backward_do_not_mix(
    make_model: MakeModel, make_batch: Make
) -> None:
    model = make_model(*LORAS)
    set_activation_checkpointing(model, ["language_model"])
    vision, speech = make_batch((9,), ("vision",)), make_batch((9,), ("speech",), seed=1)
    separate = _gradients(model, [vision, speech])
    model.zero_grad()
    losses = [linear_cross_entropy(model(b), model.head_weight, b.labels_T)[0] for b in (vision, speech)]
    (torch.stack(losses).sum() / (vision.num_targets + speech.num_targets)).backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, separate[name], atol=1e-5, rtol=1e-4)


def test_adapter_weights_are_saved_under_canonical_keys(make_model: MakeModel) -> None:
    model = make_model(*LORAS)
    assert "layers.0.self_attn.qkv_proj.lora_A.weight" in state_of(model, "lora.vision")
    assert len(state_of(model, "lora.speech")) == 2 * 4 * 2
    assert "layers.1.mlp.down_proj.weight" in state_of(model, "language_model")
