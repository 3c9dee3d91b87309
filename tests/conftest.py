import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.stage_workspace import Workspace, build_small_data, train_curriculum


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
            build_small_data(root)
    return root


@pytest.fixture(scope="session")
def trained(shared_folder: Path, small_data: Path) -> Workspace:
    """The whole curriculum, two steps a stage; read only."""
    workspace = Workspace(small_data, shared_folder / "runs")
    with _once(workspace.runs) as is_missing:
        if is_missing:
            train_curriculum(workspace)
    return workspace
