import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rich.console import Console
from stage_workspace import SMALL, Workspace

from phi4train.config.curricula import DEFAULT_CURRICULUM, load_curriculum
from phi4train.curriculum.run import run_curriculum
from phi4train.demo.build import build_demo


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
