from collections.abc import Callable

import pytest
import torch

from phi4train.errors import FrozenParameterError
from phi4train.model.ownership import Ownership
from phi4train.training.freezing import (
    assert_nothing_frozen_moved,
    freeze_all_but,
    freeze_report,
    hash_frozen,
)
from phi4train.training.module import StageModule
from tests.unit.training.tiny_training import step, text_batch

ALL = ("language_model", "vision_encoder", "vision_projector", "lora.vision")
MakeModule = Callable[..., StageModule]


@pytest.mark.parametrize(
    "trainable", [("language_model",), ("vision_projector",), ("lora.vision", "vision_encoder")]
)
def test_exactly_the_named_components_train(make_module: MakeModule, trainable: tuple[str, ...]) -> None:
    model = make_module(ALL, trainable).model
    report = freeze_report(Ownership(model), dict.fromkeys(ALL, "fresh"))
    assert {line.component for line in report if line.num_trainable} == set(trainable)
    assert all(line.num_trainable in (0, line.num_parameters) for line in report)
    assert sum(line.num_parameters for line in report) == sum(p.numel() for p in model.parameters())


def test_frozen_parts_are_in_eval_mode_and_trainable_ones_in_train_mode(make_module: MakeModule) -> None:
    model = make_module(ALL, ("vision_projector",)).model
    assert not model.language_model.training
    assert model.encoders["image"].projector.training
    assert not model.encoders["image"].encoder.training


def test_the_optimizer_owns_only_what_trains(make_module: MakeModule) -> None:
    module = make_module(ALL, ("vision_projector",))
    owned = {id(p) for group in module.gradients.optimizer.param_groups for p in group["params"]}
    assert owned == {id(p) for p in module.model.parameters() if p.requires_grad}


def test_a_step_moves_no_frozen_tensor(make_module: MakeModule) -> None:
    module = make_module(("language_model", "lora.vision"), ("lora.vision",))
    before = hash_frozen(Ownership(module.model), ("lora.vision",))
    assert before and not any(".lora_" in name for name in before)
    module.training_step(step(text_batch((9, 4))), 0)
    assert_nothing_frozen_moved(before, hash_frozen(Ownership(module.model), ("lora.vision",)))


def test_one_thawed_weight_fails_the_proof(make_module: MakeModule) -> None:
    model = make_module(("language_model", "lora.vision"), ("lora.vision",)).model
    before = hash_frozen(Ownership(model), ("lora.vision",))
    with torch.no_grad():
        weight = model.language_model.layers[1].mlp.down_proj.base_layer.weight
        weight.view(-1)[0] += 1e-7 + weight.view(-1)[0].abs() * 1e-6
    with pytest.raises(FrozenParameterError, match=r"found 1 that moved \(.*layers\.1\.mlp\.down_proj"):
        assert_nothing_frozen_moved(before, hash_frozen(Ownership(model), ("lora.vision",)))


def test_a_moved_buffer_of_a_frozen_part_fails_the_proof(make_module: MakeModule) -> None:
    model = make_module(ALL, ("vision_projector",)).model
    model.language_model.register_buffer("statistics", torch.zeros(3))
    before = hash_frozen(Ownership(model), ("vision_projector",))
    model.language_model.statistics += 1
    with pytest.raises(FrozenParameterError, match="statistics"):
        assert_nothing_frozen_moved(before, hash_frozen(Ownership(model), ("vision_projector",)))


def test_freezing_again_leaves_only_the_new_set(make_module: MakeModule) -> None:
    model = make_module(ALL, ALL).model
    freeze_all_but(Ownership(model), ("lora.vision",))
    names = {n for n, p in model.named_parameters() if p.requires_grad}
    assert names and all(".lora_" in name for name in names)
