import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from rich.console import Console

from phi4train.config.curricula import DEFAULT_CURRICULUM, load_curriculum
from phi4train.config.load import load_config
from phi4train.config.schema import Config
from phi4train.curriculum.run import run_curriculum
from phi4train.demo.build import build_demo
from phi4train.demo.families import DemoSizes

SMALL = DemoSizes(
    written_panels=200,
    exercises=200,
    small_talk=50,
    captions=200,
    lines=50,
    drawn_panels=300,
    photos=5,
    held_out_captions=10,
    held_out_lines=5,
    held_out_per_task=4,
    held_out_per_written_task=2,
)
QUICK = [
    "scale=demo",
    "budget.tokens=null",
    "budget.max_steps=2",
    "budget.global_batch_tokens=512",
    "data.context_tokens=512",
    "hardware.micro_batch_tokens=512",
    "hardware.num_threads=1",
    "model.language_model.num_layers=2",
    "model.vision.num_layers=3",
    "evaluation.max_samples=2",
    "evaluation.baseline_samples=20",
    "schedule.warmup_steps=1",
]
"""Two steps of a two-layer model: what every stage can do in a second or two."""


@dataclass(frozen=True)
class Workspace:
    """Data and runs of a test: `overrides` point a command at them."""

    data_root: Path
    runs: Path

    @property
    def overrides(self) -> list[str]:
        """For the command line and for `load_config`."""
        return [*QUICK, f"run.root={self.runs}", f"run.data_root={self.data_root}"]

    def config(self, stage: str, *more: str) -> Config:
        """The configuration of a quick stage in this workspace."""
        return load_config([f"stage={stage}", *self.overrides, *more])


@contextmanager
def _once(folder: Path) -> Iterator[bool]:
    """Lets one of several test processes make something; yields whether it still has to be made."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = folder.with_suffix(".done")
        yield not done.exists()
        done.touch()


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all test processes of this run."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"


@pytest.fixture(scope="session")
def small_data(shared_folder: Path) -> Path:
    """A data root with a small demo data set; read only."""
    root = shared_folder / "data"
    with _once(root) as is_missing:
        if is_missing:
            build_demo(root, sizes=SMALL)
    return root


@pytest.fixture(scope="session")
def trained(shared_folder: Path, small_data: Path) -> Workspace:
    """The whole curriculum, two steps a stage; read only."""
    workspace = Workspace(small_data, shared_folder / "runs")
    with _once(workspace.runs) as is_missing:
        if is_missing:
            stages = load_curriculum(DEFAULT_CURRICULUM, None).stages
            run_curriculum(stages, workspace.config, Console(quiet=True))
    return workspace


@pytest.fixture
def workspace(trained: Workspace, tmp_path: Path) -> Workspace:
    """A copy of the trained curriculum that a test may change."""
    shutil.copytree(trained.runs, tmp_path / "runs")
    return Workspace(trained.data_root, tmp_path / "runs")


@pytest.fixture
def command(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `python -m phi4train` as a user would, in an empty folder."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "phi4train", *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run
