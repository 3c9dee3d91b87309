"""A branch begins with a whole checkpoint of the same stage and parents, and records it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from phi4train.checkpoint.store import file_sha256
from phi4train.checkpoint.training_state import CheckpointFolder, TrainingState
from phi4train.config.convert import config_to_dict
from phi4train.config.load import load_config
from phi4train.config.schema import Config
from phi4train.errors import Phi4TrainError
from phi4train.run.branch import branch_state, first_step
from phi4train.run.run_folder import RunFolder

INPUTS = {"data": "d" * 64, "parent lm": "p" * 64}

STEPS = ["budget.max_steps=9", "schedule.warmup_steps=1"]


@pytest.fixture(scope="module")
def config() -> Config:
    return load_config(["stage=lm_pretrain", "scale=demo", "budget.tokens=null", *STEPS])


def source(checkpoint: Path) -> str:
    """A checkpoint as `run.branch_from` names it."""
    return f"{checkpoint.parents[1]}@{int(checkpoint.name[-8:])}"


@pytest.fixture
def checkpoint(tmp_path: Path, config: Config) -> Path:
    """Step 3 of a run."""
    folder = RunFolder(tmp_path / "run")
    folder.write_config(config_to_dict(config))
    progress = {"inputs": INPUTS, "counters": {"samples": 7}, "num_threads": 5}
    state = TrainingState(3, {"language_model/w": torch.ones(2)}, {}, {}, progress)
    return CheckpointFolder(folder.checkpoints, 9, 0).save(state)


def test_it_takes_the_state_and_records_where_it_began(checkpoint: Path, config: Config) -> None:
    inputs = {**INPUTS, "data": "e" * 64}
    state = branch_state(source(checkpoint), replace(config, seed=7), inputs)
    assert state.step == 3 and torch.equal(state.model["language_model/w"], torch.ones(2))
    assert state.progress["inputs"] == inputs and state.progress["counters"] == {"samples": 7}
    record = state.progress["branched_from"]
    assert (record["from"], record["step"], record["inputs"]) == (source(checkpoint), 3, INPUTS)
    assert record["recipe"]["seed"] == 0 and "run" not in record["recipe"]
    assert record["sha256"] == file_sha256(checkpoint / "files.json") and record["branched_from"] == {}
    assert first_step(record) == 3 and first_step({}) == 0


def test_a_branch_of_a_branch_records_both(checkpoint: Path, config: Config, tmp_path: Path) -> None:
    state = branch_state(source(checkpoint), config, INPUTS)
    folder = RunFolder(tmp_path / "second")
    folder.write_config(config_to_dict(config))
    second = CheckpointFolder(folder.checkpoints, 9, 0).save(replace(state, step=5))
    record = branch_state(source(second), config, INPUTS).progress["branched_from"]
    assert (record["step"], record["branched_from"]["step"]) == (5, 3)


def flip(checkpoint: Path) -> None:
    path = checkpoint / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (flip, "must name a whole checkpoint · found that in .* does not match its sha256"),
        (lambda folder: folder.rename(folder.with_name("else")), "files.json is missing"),
        (
            lambda folder: (folder.parents[1] / "config.yaml").unlink(),
            "must name a run folder with its configuration",
        ),
    ],
)
def test_what_is_missing_or_damaged_is_refused(
    checkpoint: Path, config: Config, spoil: Callable[[Path], object], message: str
) -> None:
    spoil(checkpoint)
    with pytest.raises(Phi4TrainError, match=message):
        branch_state(source(checkpoint), config, INPUTS)


def test_what_belongs_elsewhere_is_refused(checkpoint: Path, config: Config) -> None:
    with pytest.raises(Phi4TrainError, match=r"stage lm_sft · found one of lm_pretrain"):
        branch_state(source(checkpoint), replace(config, stage="lm_sft"), INPUTS)
    with pytest.raises(Phi4TrainError, match=r"must have the parents"):
        branch_state(source(checkpoint), config, {**INPUTS, "parent lm": "q" * 64})
    short = replace(config, budget=replace(config.budget, max_steps=3))
    with pytest.raises(Phi4TrainError, match=r"more steps than the 3 .*found 3"):
        branch_state(source(checkpoint), short, INPUTS)


@pytest.mark.parametrize(
    "text", ["runs/lm_sft/demo", "runs/lm_sft/demo@", "@3", "runs/x@last", "a/step=3", ""]
)
def test_another_form_is_refused_with_an_example(text: str, config: Config) -> None:
    with pytest.raises(Phi4TrainError, match=r"write it as runs/lm_pretrain/<name>@200"):
        branch_state(text, config, INPUTS)
