"""A run that begins with the state of another run's checkpoint, and follows a recipe of its own from there.

`run.branch_from=runs/<stage>/<name>@200` in an unused run folder takes weights, optimizer state and counters
of the checkpoint after 200 steps; the next step has index 200, with the batch and the learning
rate that the new recipe gives it. Settings and data may differ, parents may not: what is frozen is theirs.
The checkpoints and the artifact of the branch record where it began and what was done before.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from phi4train.checkpoint.store import FILES_NAME, file_sha256
from phi4train.checkpoint.training_state import (
    CheckpointFolder,
    SavedState,
    find_checkpoint_damage,
    load_training_state,
)
from phi4train.config.schema import MACHINE_KEYS, Config
from phi4train.errors import CheckpointError, ConfigError
from phi4train.run.run_folder import RunFolder
from phi4train.run.schedule import build_schedule


def branch_state(branch_from: str, config: Config, inputs: Mapping[str, str]) -> SavedState:
    """The state that a branch begins with.

    Args:
        branch_from: `<run folder>@<step>`; Hydra would take a folder's `step=` for an override.
        config: of the branch.
        inputs: `StageInputs.fingerprints()` of the branch.

    Raises:
        CheckpointError: it is missing or damaged, or its run has no readable config.yaml.
        ConfigError: it belongs to another stage or other parents, or the branch would have no step to train.
    """
    run, _, step = branch_from.rpartition("@")
    if not run or not step.isdecimal():
        raise ConfigError(
            f"run.branch_from must be a run folder and a step of which it has a checkpoint · found "
            f"'{branch_from}' · write it as runs/{config.stage}/<name>@200"
        )
    folder = RunFolder(Path(run))
    checkpoint = CheckpointFolder(folder.checkpoints, 1, 0).folder(int(step))
    damage = find_checkpoint_damage(checkpoint)
    if damage is not None:
        raise CheckpointError(
            f"run.branch_from must name a whole checkpoint · found that in {checkpoint} {damage} · "
            f"name another step that {folder.checkpoints} has"
        )
    recipe = _recipe_of(folder)
    state = load_training_state(checkpoint)
    before: Mapping[str, str] = state.progress["inputs"]
    problems = []
    if recipe.get("stage") != config.stage:
        problems.append(
            f"run.branch_from must be a checkpoint of stage {config.stage} · found one of "
            f"{recipe.get('stage')} · name a checkpoint of this stage; what another stage has learned comes "
            "through parents"
        )
    elif {**before, "data": ""} != {**inputs, "data": ""}:
        problems.append(
            "a branch must have the parents and init components of the run that it leaves · found others in "
            f"{run} · point run.parents at those, or train the stage anew"
        )
    if build_schedule(config).max_steps <= state.step:
        problems.append(
            f"the budget must have more steps than the {state.step} that run.branch_from has done · found "
            f"{build_schedule(config).max_steps} · raise it, or branch from an earlier checkpoint"
        )
    if problems:
        raise ConfigError(problems)
    record = {
        "from": branch_from,
        "sha256": file_sha256(checkpoint / FILES_NAME),
        "step": state.step,
        "recipe": {key: value for key, value in recipe.items() if key not in MACHINE_KEYS},
        "inputs": dict(before),
        "branched_from": state.progress.get("branched_from", {}),
    }
    return replace(state, progress={**state.progress, "inputs": dict(inputs), "branched_from": record})


def first_step(branched_from: Mapping[str, Any]) -> int:
    """Index of the first step that a run has trained itself.

    Args:
        branched_from: its record of a branch; empty: it is none.
    """
    step: int = branched_from.get("step", 0)
    return step


def _recipe_of(folder: RunFolder) -> Mapping[str, Any]:
    recipe = folder.read_config()
    if recipe is None:
        raise CheckpointError(
            f"run.branch_from must name a run folder with its configuration · found no {folder.config} · "
            "put it back, or name another run"
        )
    return recipe
