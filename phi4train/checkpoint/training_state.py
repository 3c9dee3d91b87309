"""The full training state of a run, one folder a step: `checkpoints/step=00000200/`."""

import re
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phi4train.checkpoint.finiteness import find_non_finite
from phi4train.checkpoint.slices import SliceReader, Slices, slice_file
from phi4train.checkpoint.store import find_damage, read_document, write_folder
from phi4train.errors import NonFiniteError
from phi4train.ranks import OneRank, Ranks

_STEP_FOLDER = re.compile(r"step=(\d{8,})")
_FILES = (f"{slice_file(0)}.safetensors", "state.json")
_FORMER_FILE = "model.safetensors"
"""Of checkpoints that held whole tensors."""
DAMAGED_MARK = "damaged-"
"""Before the name of a checkpoint that was set aside: it is no checkpoint any more, and stays."""


@dataclass(frozen=True)
class TrainingState:
    """What one rank adds to a checkpoint: all ranks' together are what a run needs to go on to the last bit.

    Args:
        step: optimizer steps done; the next one to run has this index.
        slices: this rank's part of the trainable tensors (`model/<component>/<key>@<start>`), of the moments
            of the optimizer (`exp_avg/...`, `exp_avg_sq/...`) and of buffers (`buffer/...`).
        progress: counters, fingerprints and the record of a branch, JSON.
    """

    step: int
    slices: Slices
    progress: Mapping[str, Any]


@dataclass(frozen=True)
class SavedState:
    """A checkpoint that a run goes on from; its tensors are read when they are asked for.

    Args:
        folder: a checkpoint folder that has been verified.
        step: optimizer steps done.
        progress: see TrainingState.
    """

    folder: Path
    step: int
    progress: Mapping[str, Any]

    def tensors(self) -> SliceReader:
        """Reads its tensors."""
        return SliceReader(self.folder)


@dataclass(frozen=True)
class DamagedCheckpoint:
    """A checkpoint that cannot be gone on from, and why."""

    path: Path
    damage: str

    def set_aside(self) -> Path:
        """Renames it, so that it neither counts nor takes a good one's place; returns the new path."""
        aside = self.path.with_name(f"{DAMAGED_MARK}{self.path.name}")
        if aside.exists():
            aside = aside.with_name(f"{aside.name}-{uuid.uuid4().hex[:8]}")
        return self.path.rename(aside)


class CheckpointFolder:
    """The checkpoints of one run.

    Tensors that a process has saved or verified itself are not hashed again; sizes and documents are.

    Args:
        path: `runs/<stage>/<run>/checkpoints`.
        keep_last_n: newest checkpoints that are kept; at least 1.
        keep_every_n: checkpoints whose step is a multiple of this are kept too; 0: none.
    """

    def __init__(self, path: Path, keep_last_n: int, keep_every_n: int) -> None:
        self._path = path
        self._keep_last_n = keep_last_n
        self._keep_every_n = keep_every_n
        self._known_whole: set[int] = set()

    def steps(self) -> list[int]:
        """Steps that have a published folder, ascending."""
        if not self._path.is_dir():
            return []
        names = {path.name for path in self._path.iterdir()}
        steps = (int(match[1]) for match in map(_STEP_FOLDER.fullmatch, names) if match)
        return sorted(step for step in steps if self.folder(step).name in names)

    def save(self, state: TrainingState, ranks: Ranks | None = None) -> Path:
        """Publishes a checkpoint and then deletes those that need not be kept beside whole newer ones.

        Args:
            state: this rank's part.
            ranks: all of which call this; rank 0 publishes and deletes. None: there is one.

        Raises:
            NonFiniteError: a weight or a moment of the optimizer is not finite; nothing was written.
            CheckpointError: it could not be written.
        """
        ranks = ranks or OneRank()
        ranks.each(lambda: _require_finite(state))
        folder = self.folder(state.step)
        document = {"step": state.step, "progress": dict(state.progress)}
        write_folder(folder, {slice_file(ranks.rank): state.slices}, {"state": document}, ranks)
        self._known_whole.add(state.step)
        ranks.from_first(self._prune)
        return folder

    def newest_complete(self) -> tuple[Path | None, list[DamagedCheckpoint]]:
        """The newest checkpoint whose files verify, and the newer ones, which do not; changes nothing."""
        damaged: list[DamagedCheckpoint] = []
        for step in reversed(self.steps()):
            folder = self.folder(step)
            damage = self._find_damage(step)
            if damage is None:
                return folder, damaged
            damaged.append(DamagedCheckpoint(folder, damage))
        return None, damaged

    def last_good(self) -> str:
        """Which checkpoint there is to go back to, in words."""
        newest, _ = self.newest_complete()
        return "no checkpoint was saved before" if newest is None else f"the last good checkpoint is {newest}"

    def set_aside(self) -> list[Path]:
        """Damaged checkpoints that earlier starts have set aside."""
        return sorted(self._path.glob(f"{DAMAGED_MARK}*"))

    def newest_document(self) -> Mapping[str, Any] | None:
        """`step` and `progress` of the newest complete checkpoint; None: there is none."""
        newest, _ = self.newest_complete()
        return None if newest is None else read_document(newest, "state")

    def _find_damage(self, step: int) -> str | None:
        is_known = step in self._known_whole
        damage = find_checkpoint_damage(self.folder(step), hash_tensor_files=not is_known)
        if damage is None:
            self._known_whole.add(step)
        else:
            self._known_whole.discard(step)
        return damage

    def folder(self, step: int) -> Path:
        """Where the checkpoint after `step` steps is, if there is one."""
        return self._path / f"step={step:08d}"

    def _prune(self) -> None:
        """Deletes what is older than the `keep_last_n` newest whole ones, and need not be kept."""
        num_whole = 0
        for step in reversed(self.steps()):
            if num_whole < self._keep_last_n:
                num_whole += step in self._known_whole or self._find_damage(step) is None
            elif not (self._keep_every_n and step % self._keep_every_n == 0):
                shutil.rmtree(self.folder(step), ignore_errors=True)


def find_checkpoint_damage(folder: Path, hash_tensor_files: bool = True) -> str | None:
    """What is wrong with a checkpoint folder; None: it is whole. See `store.find_damage`."""
    if (folder / _FORMER_FILE).exists():
        return "an earlier version of phi4train wrote it, which goes on with it"
    return find_damage(folder, hash_tensor_files, must_list=_FILES)


def load_training_state(folder: Path) -> SavedState:
    """The state of a checkpoint folder that has been verified.

    Raises:
        CheckpointError: another version of phi4train wrote it.
    """
    document = read_document(folder, "state")
    return SavedState(folder, document["step"], document["progress"])


def _require_finite(state: TrainingState) -> None:
    found = find_non_finite(state.slices)
    if found is not None:
        raise NonFiniteError(
            f"weights and optimizer state must be finite to be saved · found {found} after step "
            f"{state.step} · lower optimizer.lr, or look at the last steps in metrics.jsonl"
        )
