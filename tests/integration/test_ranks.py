"""Several processes: the same run under any strategy, on any number of them, and gone on with on another."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from rich.console import Console

from phi4train.checkpoint.artifact import open_artifact
from phi4train.checkpoint.store import read_tensors
from phi4train.config.load import load_config
from phi4train.training.launch import run_ranks
from phi4train.training.stage import train_stage
from tests.stage_workspace import STAGES, Workspace

STEPS = 3
SHARED = ["budget.global_batch_tokens=1024", f"budget.max_steps={STEPS}", "evaluation.manifest=null"]
PARENTS = {
    "lm_pretrain": (),
    "lm_sft": ("lm_pretrain",),
    "vision_align": ("lm_sft",),
    "vision_pretrain": ("vision_align",),
    "vision_sft": ("vision_pretrain",),
    "vision_multiframe": ("vision_sft",),
    "audio_pretrain": ("lm_sft",),
    "audio_sft": ("audio_pretrain",),
    "vision_speech": ("vision_multiframe", "audio_sft"),
}


def words(workspace: Workspace, stage: str, name: str, *more: str) -> list[str]:
    """A command that trains a stage from the workspace's parents into a run of its own."""
    parents = [f"run.parents.{parent}={workspace.runs}/{parent}/demo/artifact" for parent in PARENTS[stage]]
    return [f"stage={stage}", *workspace.overrides, *SHARED, f"run.name={name}", *parents, *more]


def train_all(commands: Sequence[Sequence[str]]) -> None:
    """Trains one run after the other, in a process that may be one of several."""
    for command in commands:
        train_stage(load_config(list(command)), Console(quiet=True))


def train_on(number: int, *commands: Sequence[str]) -> None:
    """Trains on so many processes; all runs in the same ones, which start only once."""
    if number == 1:
        train_all(commands)
    else:
        run_ranks(train_all, (commands,), number)


def steps_of(run: Path) -> list[dict[str, float]]:
    """What a run's steps measured, but for times."""
    kept = ("train/", "optim/", "data/tokens", "data/samples", "step")
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k.startswith(kept)} for line in lines]


def identity_of(run: Path) -> str:
    return open_artifact(run / "artifact", needed_by="a test").lineage.identity


def weights_of(run: Path) -> dict[str, torch.Tensor]:
    artifact = run / "artifact"
    files = sorted(path.stem for path in artifact.glob("*.safetensors"))
    return {f"{name}/{key}": tensor for name in files for key, tensor in read_tensors(artifact, name).items()}


def assert_close(run: Path, reference: Path, weights: float = 1e-4) -> None:
    """Losses alike to 1e-6, weights to a share of their norm: Adam magnifies rounding at first."""
    for found, expected in zip(steps_of(run), steps_of(reference), strict=True):
        assert found["train/loss"] == pytest.approx(expected["train/loss"], rel=1e-6)
    found_weights, expected_weights = weights_of(run), weights_of(reference)
    assert found_weights.keys() == expected_weights.keys()
    moved = sum(
        float((tensor - expected_weights[name]).square().sum()) for name, tensor in found_weights.items()
    )
    whole = sum(float(tensor.square().sum()) for tensor in expected_weights.values())
    assert moved**0.5 <= weights * whole**0.5


def test_one_two_and_four_processes_end_at_the_same_bits(workspace: Workspace) -> None:
    """Text, images and speech in one step, dropout on, and workers that decode."""
    more = ["hardware.virtual_ranks=4", "model.lora.vision.dropout=0.1"]
    runs = workspace.runs / "vision_speech"
    train_on(1, words(workspace, "vision_speech", "on1", *more))
    two = words(workspace, "vision_speech", "on2", *more, "strategy=ddp", "hardware.num_workers=2")
    train_on(2, two)
    train_on(4, words(workspace, "vision_speech", "on4", *more, "strategy=ddp"))
    for name in ("on2", "on4"):
        assert steps_of(runs / name) == steps_of(runs / "on1")
        assert identity_of(runs / name) == identity_of(runs / "on1")


def check_strategies(workspace: Workspace, stages: Sequence[str]) -> None:
    """ZeRO 1 and 2 end at the bits of one process with two virtual ranks, ZeRO 3 next to them."""
    kinds = ("deepspeed_zero1", "deepspeed_zero2", "deepspeed_zero3")
    for stage in stages:
        train_on(1, words(workspace, stage, "single", "hardware.virtual_ranks=2"))
    train_on(2, *(words(workspace, stage, kind, f"strategy={kind}") for stage in stages for kind in kinds))
    for stage in stages:
        runs = workspace.runs / stage
        for kind in kinds[:2]:
            assert [step["train/loss"] for step in steps_of(runs / kind)] == [
                step["train/loss"] for step in steps_of(runs / "single")
            ]
            assert identity_of(runs / kind) == identity_of(runs / "single")
        assert_close(runs / "deepspeed_zero3", runs / "single")


def test_zero_trains_text_images_and_speech_like_one_process(workspace: Workspace) -> None:
    check_strategies(workspace, ["vision_speech", "audio_pretrain"])


@pytest.mark.slow
def test_zero_trains_every_stage_like_one_process(workspace: Workspace) -> None:
    check_strategies(workspace, STAGES)


def test_a_run_goes_on_with_other_processes_and_strategies(
    workspace: Workspace,
) -> None:
    stage, runs = "vision_sft", workspace.runs / "vision_sft"

    def part(name: str, steps: int, *more: str) -> list[str]:
        common = ["hardware.virtual_ranks=4", "schedule.kind=constant", "schedule.warmup_steps=0"]
        return words(workspace, stage, name, *common, f"budget.max_steps={steps}", *more)

    train_on(1, part("straight", 6))
    train_on(4, part("moved", 2, "strategy=ddp"))
    train_on(1, part("moved", 4))
    train_on(2, part("moved", 6, "strategy=ddp"))
    assert steps_of(runs / "moved") == steps_of(runs / "straight")
    assert identity_of(runs / "moved") == identity_of(runs / "straight")
    train_on(2, part("zero", 2, "strategy=deepspeed_zero3"))
    train_on(1, part("zero", 4))
    train_on(2, part("zero", 6, "strategy=deepspeed_zero2"))
    assert_close(runs / "zero", runs / "straight")
