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
    restore_state(second, Ownership(second.model), LM, state)
    second.next_step = state.step
    for number, batch in enumerate(batches[3:], start=3):
        second.training_step(step(batch, number=number), 0)
    assert straight.result == second.result
    for name, parameter in trainable_of(straight).items():
        assert torch.equal(parameter, trainable_of(second)[name]), name
    assert Progress.from_document(state.progress["counters"]).samples == 9


def test_other_data_or_parents_are_refused(make_module: MakeModule) -> None:
    progress = state_of(make_module(), {"data": "a", "parent lm": "b"}).progress
    check_fingerprints(progress, {"data": "a", "parent lm": "b"})
    with pytest.raises(ResumeError, match=r"found changed: data · .*resume=overwrite"):
        check_fingerprints(progress, {"data": "x", "parent lm": "b"})


def test_a_state_of_other_components_is_refused(make_module: MakeModule, tmp_path: Path) -> None:
    saved = CheckpointFolder(tmp_path, keep_last_n=1, keep_every_n=0).save(state_of(make_module(), {}))
    other = make_module(("language_model", "lora.vision"), ("lora.vision",))
    with pytest.raises(CheckpointError, match=r"trainable tensors and no others · found \d+ that differ"):
        restore_state(other, Ownership(other.model), ("lora.vision",), load_training_state(saved))


def test_a_checkpoint_holds_no_frozen_tensor(make_module: MakeModule) -> None:
    module = make_module(("language_model", "lora.vision"), ("lora.vision",))
    state = capture_state(module, Ownership(module.model), ("lora.vision",), Progress(), {}, step=0)
    assert state.slices and all("/lora.vision/" in name for name in state.slices)
