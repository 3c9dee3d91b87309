"""`phi4train lineage` prints the tree of the artifact that is named."""

from argparse import ArgumentParser
from pathlib import Path

import pytest
import torch

from phi4train.checkpoint.artifact import save_artifact
from phi4train.checkpoint.lineage import lineage_text
from phi4train.cli.lineage import run
from phi4train.errors import CheckpointError


def test_the_tree_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    artifact = save_artifact(
        tmp_path / "artifact",
        {"x": {"w": torch.ones(1)}},
        stage="lm",
        parents={},
        recipe={"data": {"manifest": "m"}, "seed": 0},
        data_fingerprint="d",
        code={},
        results={},
    )
    run(ArgumentParser(), [str(artifact.path)])
    assert capsys.readouterr().out == f"{lineage_text(artifact.path)}\n"


def test_a_folder_without_an_artifact_and_no_folder_at_all_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="must exist · found none"):
        run(ArgumentParser(), [str(tmp_path / "nowhere")])
    with pytest.raises(SystemExit):
        run(ArgumentParser(), [])
