"""The full training state of a run, one folder a step: `checkpoints/step=00000200/`."""

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from phi4train.checkpoint.store import (
    clean_up,
    find_damage,
    read_document,
    read_tensors,
    write_folder,
)
from phi4train.errors import CheckpointError

_STEP_FOLDER = re.compile(r"step=(\d{8,})")


@dataclass(frozen=True)
class TrainingState:
    """Everything that a run needs to go on to the last bit.

    Args:
        step: optimizer steps done; the next one to run has this index.
        model: trainable tensors, `<component>/<key>`.
        optimizer: state tensors by kind and tensor name, `<kind>/<component>/<key>`.
        random: generator states (see `capture_random_state`).
        progress: counters and fingerprints, JSON.
    """

    step: int
    model: Mapping[str, Tensor]
    optimizer: Mapping[str, Tensor]
    random: Mapping[str, Tensor]
    progress: Mapping[str, Any]


def capture_random_state() -> dict[str, Tensor]:
    """States of torch's global generators (the only ones that a training step draws from)."""
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def restore_random_state(states: Mapping[str, Tensor]) -> None:
    """Sets the global generators to what `capture_random_state` returned."""
    torch.set_rng_state(states["cpu"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"])


class CheckpointFolder:
    """The checkpoints of one run.

    Args:
        path: `runs/<stage>/<run>/checkpoints`.
        keep_last_n: newest checkpoints that are kept; at least 1.
        keep_every_n: checkpoints whose step is a multiple of this are kept too; 0: none.
    """

    def __init__(self, path: Path, keep_last_n: int, keep_every_n: int) -> None:
        self._path = path
        self._keep_last_n = keep_last_n
        self._keep_every_n = keep_every_n

    def steps(self) -> list[int]:
        """Steps that have a published folder, ascending."""
        if not self._path.is_dir():
            return []
        matches = (_STEP_FOLDER.fullmatch(p.name) for p in self._path.iterdir())
        return sorted(int(match[1]) for match in matches if match)

    def save(self, state: TrainingState) -> Path:
        """Publishes a checkpoint and then deletes those that need not be kept."""
        folder = self._folder(state.step)
        write_folder(
            folder,
            tensors={"model": state.model, "optimizer": state.optimizer, "random": state.random},
            documents={"state": {"step": state.step, "progress": dict(state.progress)}},
        )
        self._prune()
        return folder

    def newest_complete(self) -> tuple[Path | None, list[str]]:
        """The newest checkpoint whose files verify, and a line for each newer one that was passed over."""
        if self._path.is_dir():
            clean_up(self._path)
        passed_over: list[str] = []
        for step in reversed(self.steps()):
            folder = self._folder(step)
            damage = find_damage(folder)
            if damage is None:
                return folder, passed_over
            passed_over.append(f"{folder} is damaged and passed over: {damage}")
        return None, passed_over

    def newest_fingerprints(self) -> Mapping[str, str] | None:
        """Fingerprints of what the newest readable checkpoint was trained from; None: there is none."""
        for step in reversed(self.steps()):
            try:
                inputs: Mapping[str, str] = read_document(self._folder(step), "state")["progress"]["inputs"]
            except (CheckpointError, KeyError, TypeError):
                continue
            return inputs
        return None

    def _folder(self, step: int) -> Path:
        return self._path / f"step={step:08d}"

    def _prune(self) -> None:
        steps = self.steps()
        kept = set(steps[-self._keep_last_n :])
        kept |= {step for step in steps if self._keep_every_n and step % self._keep_every_n == 0}
        for step in steps:
            if step not in kept:
                shutil.rmtree(self._folder(step), ignore_errors=True)


def load_training_state(folder: Path) -> TrainingState:
    """Reads a checkpoint folder that `newest_complete` has verified."""
    document = read_document(folder, "state")
    return TrainingState(
        step=document["step"],
        model=read_tensors(folder, "model"),
        optimizer=read_tensors(folder, "optimizer"),
        random=read_tensors(folder, "random"),
        progress=document["progress"],
    )
