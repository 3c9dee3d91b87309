"""Several processes: the same run under any strategy, on any number of them, and gone on with on another."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from phi4train.checkpoint.artifact import open_artifact
from phi4train.checkpoint.store import read_tensors
from phi4train.config.load import load_config
from phi4train.training.launch import run_ranks
from phi4train.training.micro_batch import MicroBatchLoss, MicroBatchShare
from phi4train.training.stage import train_stage
from tests.stage_workspace import ROOT, STAGES, Workspace

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


def train_with_a_bad_step(commands: Sequence[Sequence[str]], bad: float) -> None:
    """As `train_all`, but the loss of rank 1 in the second step is multiplied by `bad`."""
    forward = MicroBatchLoss.forward
    calls = 0

    def spoiled(self: MicroBatchLoss, *arguments: Any) -> MicroBatchShare:
        nonlocal calls
        share = forward(self, *arguments)
        calls += 1
        is_bad = calls == 2 and os.environ["RANK"] == "1"
        return replace(share, loss=share.loss * bad) if is_bad else share

    for command in commands:
        calls = 0
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(MicroBatchLoss, "forward", spoiled)
            train_all([command])


@pytest.mark.parametrize(("bad", "is_skipped"), [(math.nan, True), (1e4, False)], ids=["nan", "huge"])
def test_a_bad_gradient_of_one_rank_is_skipped_or_clipped_on_all(
    workspace: Workspace, bad: float, is_skipped: bool
) -> None:
    kinds = ("ddp", "deepspeed_zero1", "deepspeed_zero2", "deepspeed_zero3")
    one_micro_batch = ["hardware.micro_batch_tokens=1024"]
    commands = [words(workspace, "lm_sft", k, f"strategy={k}", *one_micro_batch) for k in kinds]
    run_ranks(train_with_a_bad_step, (commands, bad), 2)
    runs = workspace.runs / "lm_sft"
    for kind in kinds:
        steps = steps_of(runs / kind)
        assert (steps[1]["optim/grad_norm"] is None) == is_skipped
        assert is_skipped or steps[1]["optim/grad_norm"] > 100 * steps[0]["optim/grad_norm"]
        assert steps[2]["train/loss"] == pytest.approx(steps_of(runs / "ddp")[2]["train/loss"], rel=1e-5)
    assert identity_of(runs / "ddp") == identity_of(runs / "deepspeed_zero1") == identity_of(runs / kinds[2])


def start(command: Sequence[str]) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-m", "phi4train", *command],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for_steps(process: subprocess.Popen[str], run: Path, number: int) -> None:
    metrics = run / "metrics.jsonl"
    while not metrics.exists() or len(metrics.read_text().splitlines()) < number:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    """Whether there is such a process that is more than an entry which nobody has asked for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def children_of(pid: int) -> list[int]:
    """Processes that `pid` has started, but for multiprocessing's resource tracker."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            is_rank = "spawn_main" in (stat.parent / "cmdline").read_text()
        except OSError:
            continue
        if parent == pid and is_rank:
            found.append(int(stat.parent.name))
    return sorted(found)


@pytest.mark.slow
def test_signals_and_deaths_end_all_ranks_and_the_run_goes_on_to_the_last_bit(workspace: Workspace) -> None:
    steps, runs = 40, workspace.runs / "lm_sft"
    more = ["strategy=ddp", "hardware.ranks=2", f"budget.max_steps={steps}", "checkpoint.every_n_steps=5"]
    command, straight = (words(workspace, "lm_sft", name, *more) for name in ("stopped", "straight"))

    stopped = start(command)
    wait_for_steps(stopped, runs / "stopped", 3)
    stopped.terminate()
    printed, _ = stopped.communicate(timeout=120)
    assert stopped.returncode == 75 and "start the same command again" in printed, printed

    bereft = start(command)
    wait_for_steps(bereft, runs / "stopped", 12)
    ranks = children_of(bereft.pid)
    assert len(ranks) == 2
    os.kill(ranks[1], signal.SIGKILL)
    printed, _ = bereft.communicate(timeout=120)
    assert bereft.returncode == 2 and "killed by SIGKILL" in printed, printed

    orphaned = start(command)
    wait_for_steps(orphaned, runs / "stopped", 20)
    ranks = children_of(orphaned.pid)
    orphaned.kill()
    orphaned.communicate(timeout=120)
    while any(is_running(rank) for rank in ranks):
        time.sleep(0.02)

    for words_of in (command, straight):
        finished = start(words_of)
        printed, _ = finished.communicate(timeout=240)
        assert finished.returncode == 0, printed
    assert steps_of(runs / "stopped") == steps_of(runs / "straight")
    assert identity_of(runs / "stopped") == identity_of(runs / "straight")
    assert not list((runs / "stopped").rglob("*.tmp-*"))
