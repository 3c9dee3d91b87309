from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from phi4train.checkpoint.training_state import CheckpointFolder, TrainingState, load_training_state
from phi4train.errors import CheckpointError, ResumeError
from phi4train.model.ownership import Ownership
from phi4train.run.resume import check_fingerprints
from phi4train.training.checkpointing import capture_state, restore_state
from phi4train.training.module import StageModule
from phi4train.training.optimizer import load_optimizer_tensors, optimizer_tensors
from phi4train.training.watching.progress import Progress
from tests.unit.training.tiny_training import step, text_batch, trainable_of

LM = ("language_model",)
MakeModule = Callable[..., StageModule]


def state_of(module: StageModule, inputs: dict[str, str]) -> TrainingState:
    return capture_state(module, Ownership(module.model), LM, Progress(), inputs, step=0)


def test_a_restored_module_goes_on_to_the_last_bit(make_module: MakeModule, tmp_path: Path) -> None:
    batches = [text_batch((9, 5, 7), seed=n) for n in range(6)]
    straight = make_module()
    for number, batch in enumerate(batches):
        straight.training_step(step(batch, number=number), 0)

    first = make_module()
    for number, batch in enumerate(batches[:3]):
        first.training_step(step(batch, number=number), 0)
    folder = CheckpointFolder(tmp_path, keep_last_n=1, keep_every_n=0)
    saved = folder.save(
        capture_state(first, Ownership(first.model), LM, Progress(samples=9), {"data": "d"}, step=3)
    )

    state = load_training_state(saved)
    second = make_module()
    restore_state(second, LM, state)
    second.next_step = state.step
    for number, batch in enumerate(batches[3:], start=3):
        second.training_step(step(batch, number=number), 0)
    assert straight.result == second.result
    for name, parameter in trainable_of(straight).items():
        assert torch.equal(parameter, trainable_of(second)[name]), name
    assert Progress.from_document(state.progress["counters"]).samples == 9


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_optimizer_state_goes_to_the_parameters_device_and_dtype(
    make_module: MakeModule, dtype: torch.dtype
) -> None:
    first = make_module()
    first.training_step(step(text_batch((9, 5))), 0)
    saved = optimizer_tensors(first.gradients.optimizer, trainable_of(first))
    elsewhere = {name: torch.nn.Parameter(p.to("meta", dtype)) for name, p in trainable_of(first).items()}
    optimizer = torch.optim.AdamW(elsewhere.values())
    load_optimizer_tensors(optimizer, elsewhere, saved)
    for parameter in elsewhere.values():
        state = optimizer.state[parameter]
        assert {tensor.device.type for tensor in state.values()} == {"meta"}
        assert state["exp_avg"].dtype is state["exp_avg_sq"].dtype is dtype
        assert state["step"].dtype is torch.float32


def test_other_data_or_parents_are_refused(make_module: MakeModule) -> None:
    state = state_of(make_module(), {"data": "a", "parent lm": "b"})
    check_fingerprints(state, {"data": "a", "parent lm": "b"})
    with pytest.raises(ResumeError, match=r"found changed: data · .*resume=overwrite"):
        check_fingerprints(state, {"data": "x", "parent lm": "b"})


def test_a_state_of_other_components_is_refused(make_module: MakeModule) -> None:
    state = state_of(make_module(), {})
    other = make_module(("language_model", "lora.vision"), ("lora.vision",))
    with pytest.raises(CheckpointError, match="trainable components only · found language_model · "):
        restore_state(other, ("lora.vision",), state)


def test_a_checkpoint_holds_no_frozen_tensor(make_module: MakeModule) -> None:
    module = make_module(("language_model", "lora.vision"), ("lora.vision",))
    state = capture_state(module, Ownership(module.model), ("lora.vision",), Progress(), {}, step=0)
    assert state.model and all(name.startswith("lora.vision/") for name in state.model)
