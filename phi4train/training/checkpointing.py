"""Saves and restores the full state of a run through `checkpoint.training_state`."""

from collections.abc import Collection, Mapping
from typing import Any

import torch

from phi4train.checkpoint.training_state import TrainingState, capture_random_state, restore_random_state
from phi4train.errors import CheckpointError
from phi4train.model.components import load_state
from phi4train.model.ownership import Ownership
from phi4train.training.module import StageModule
from phi4train.training.watching.progress import Progress


def capture_state(
    module: StageModule,
    owned: Ownership,
    trainable: Collection[str],
    progress: Progress,
    inputs: Mapping[str, Any],
    step: int,
    branched_from: Mapping[str, Any] | None = None,
) -> TrainingState:
    """The state after `step` steps.

    Args:
        inputs: fingerprints of the data and parents that it belongs to.
        branched_from: the record of the branch that the run is, if it is one.
    """
    return TrainingState(
        step=step,
        model={
            f"{component}/{key}": tensor
            for component in trainable
            for key, tensor in owned.state(component).items()
        },
        optimizer=module.gradients.state(),
        random=capture_random_state(),
        progress={
            "counters": progress.to_document(),
            "bad_steps_in_a_row": module.num_bad_in_a_row,
            "inputs": dict(inputs),
            "num_threads": torch.get_num_threads(),
            "branched_from": dict(branched_from or {}),
        },
    )


def restore_state(module: StageModule, trainable: Collection[str], state: TrainingState) -> None:
    """Puts a state back into model, optimizer and random generators.

    Raises:
        CheckpointError: its tensors do not fit this stage's model.
    """
    by_component: dict[str, dict[str, torch.Tensor]] = {component: {} for component in trainable}
    for name, tensor in state.model.items():
        component, key = name.split("/", 1)
        if component not in by_component:
            raise CheckpointError(
                f"a checkpoint must hold this stage's trainable components only · found {component} · "
                "start anew with resume=overwrite (the old run is set aside, not deleted)"
            )
        by_component[component][key] = tensor
    for component, tensors in by_component.items():
        load_state(module.model, component, tensors)
    module.gradients.load_state(state.optimizer)
    module.num_bad_in_a_row = state.progress["bad_steps_in_a_row"]
    restore_random_state(state.random)
