"""What the golden file holds, read from the runs of a trained curriculum."""

import json
import platform
from pathlib import Path
from typing import Any

import torch

from phi4train.checkpoint.artifact import open_artifact
from phi4train.config.curricula import DEFAULT_CURRICULUM, load_curriculum
from tests.stage_workspace import Workspace

GOLDEN_FILE = Path(__file__).with_name("golden.json")


def machine_kind() -> dict[str, str]:
    """What decides the last bits of a float32 run on a CPU."""
    return {
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "processor": _processor(),
        "torch": torch.__version__,
    }


def _processor() -> str:
    """Family and model of the CPU: matrix libraries choose their kernels by it, at one vector width too."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []
    values = dict(line.split(":", 1) for line in lines if ":" in line)
    named = {name.strip(): value.strip() for name, value in values.items()}
    found = [named[name] for name in ("vendor_id", "cpu family", "model") if name in named]
    return " ".join(found) or platform.machine()


def measured_stages(workspace: Workspace) -> dict[str, dict[str, Any]]:
    """By stage: identity of its artifact, loss of every step, final metrics."""
    return {
        stage: _measured(workspace.runs / stage / "demo")
        for stage in load_curriculum(DEFAULT_CURRICULUM).stages
    }


def _measured(run: Path) -> dict[str, Any]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    lineage = open_artifact(run / "artifact", needed_by="the golden runs").lineage
    losses = [{key: value for key, value in line.items() if key.startswith("train/")} for line in lines]
    return {"identity": lineage.identity, "steps": losses, "results": dict(lineage.results)}
