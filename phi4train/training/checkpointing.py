"""Saves and restores the full state of a run through `checkpoint.training_state`."""

from collections.abc import Collection, Mapping
from typing import Any

import torch

from phi4train.checkpoint.slices import slices_of
from phi4train.checkpoint.training_state import SavedState, TrainingState
from phi4train.errors import CheckpointError
from phi4train.model.ownership import Ownership
from phi4train.run.virtual import KEY as VIRTUAL_KEY
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
    buffers = {
        f"buffer/{component}/{key}": tensor
        for component in trainable
        for key, tensor in owned.buffers(component).items()
    }
    ranks = module.ranks
    return TrainingState(
        step=step,
        slices={**module.gradients.slices(), **slices_of(buffers, ranks.rank, ranks.size)},
        progress={
            "counters": progress.to_document(),
            "bad_steps_in_a_row": module.num_bad_in_a_row,
            "inputs": dict(inputs),
            VIRTUAL_KEY: module.gradients.virtual.number,
            "num_updates": module.gradients.num_updates,
            "num_threads": torch.get_num_threads(),
            "branched_from": dict(branched_from or {}),
        },
    )


def restore_state(
    module: StageModule, owned: Ownership, trainable: Collection[str], state: SavedState
) -> None:
    """Puts a state back into model and optimizer, whatever number of ranks and strategy wrote it.

    Raises:
        CheckpointError: its tensors do not fit this stage's model.
    """
    tensors = state.tensors()
    named = owned.named_parameters(trainable)
    if tensors.names("model") != named.keys():
        others = sorted(tensors.names("model") ^ named.keys())
        raise CheckpointError(
            f"a checkpoint must hold this stage's trainable tensors and no others · found {len(others)} that "
            f"differ ({', '.join(others[:5])}) · use the model sizes that wrote it, or start anew with "
            "resume=overwrite (the old run is set aside, not deleted)"
        )
    module.gradients.load(tensors, state.progress["num_updates"])
    with torch.no_grad():
        for component in trainable:
            for key, buffer in owned.buffers(component).items():
                buffer.copy_(tensors.read(f"buffer/{component}/{key}", buffer.shape))
    module.num_bad_in_a_row = state.progress["bad_steps_in_a_row"]
