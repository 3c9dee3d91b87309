"""A run that is killed and resumed equals one that was never interrupted, bit for bit."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from phi4train.checkpoint.store import read_tensors
from phi4train.training.watching import metric_keys as keys
from tests.stage_workspace import Workspace

NUM_STEPS = 12


def start(workspace: Workspace, stage: str, *more: str) -> subprocess.Popen[str]:
    arguments = [f"stage={stage}", *workspace.overrides, f"budget.max_steps={NUM_STEPS}", *more]
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "phi4train",
            *arguments,
            "checkpoint.every_n_steps=2",
            "evaluation.manifest=null",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str], expected: int = 0) -> str:
    output, _ = process.communicate(timeout=300)
    assert process.returncode == expected, output
    return output


def wait_for_lines(path: Path, count: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and process.poll() is None:
        if path.is_file() and len(path.read_text().splitlines()) >= count:
            return
        time.sleep(0.01)
    raise AssertionError(f"{path} did not reach {count} lines: {finish(process)}")


def losses(run: Path) -> list[tuple[int, float, float]]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [(line[keys.STEP], line[keys.LOSS], line[keys.GRAD_NORM]) for line in lines]


def weights(run: Path) -> dict[str, torch.Tensor]:
    files = sorted((run / "artifact").glob("*.safetensors"))
    return {f"{f.stem}/{k}": t for f in files for k, t in read_tensors(run / "artifact", f.stem).items()}


@pytest.mark.parametrize(("stage", "num_workers"), [("lm_sft", 0), ("vision_sft", 0), ("vision_sft", 2)])
def test_a_killed_run_goes_on_to_the_last_bit(workspace: Workspace, stage: str, num_workers: int) -> None:
    more = [f"hardware.num_workers={num_workers}", "data.routing=token", "model.lora.vision.dropout=0.1"]
    straight = workspace.runs / stage / "straight"
    finish(start(workspace, stage, *more, "run.name=straight", *parents(workspace, stage)))

    killed = workspace.runs / stage / "killed"
    arguments = [*more, "run.name=killed", *parents(workspace, stage)]
    random_step = random.Random(os.getpid()).randint(3, NUM_STEPS - 2)
    process = start(workspace, stage, *arguments)
    wait_for_lines(killed / "metrics.jsonl", random_step, process)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert not (killed / "artifact").exists()
    output = finish(start(workspace, stage, *arguments))
    assert "resuming from" in output, f"killed at step {random_step}: {output}"

    assert losses(killed) == losses(straight), f"killed at step {random_step}"
    expected, found = weights(straight), weights(killed)
    assert expected and expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def parents(workspace: Workspace, stage: str) -> list[str]:
    parent = workspace.config(stage).parents[0]
    return [f"run.parents.{parent}={workspace.runs / parent / 'demo' / 'artifact'}"]


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_a_signal_to_all_processes_saves_and_the_same_command_goes_on(
    workspace: Workspace, signum: signal.Signals
) -> None:
    run = workspace.runs / "lm_pretrain" / "stopped"
    arguments = ["run.name=stopped", "checkpoint.every_n_steps=0", "hardware.num_workers=2"]
    process = start(workspace, "lm_pretrain", *arguments)
    wait_for_lines(run / "metrics.jsonl", 2, process)
    os.killpg(process.pid, signum)
    output = finish(process, expected=75)
    assert f"found {signum.name}" in output and "start the same command again to go on" in output
    assert "Traceback" not in output
    saved = [p.name for p in (run / "checkpoints").iterdir()]
    assert len(saved) == 1
    assert "resuming from" in finish(start(workspace, "lm_pretrain", *arguments))
    assert [step for step, _, _ in losses(run)] == list(range(NUM_STEPS))
