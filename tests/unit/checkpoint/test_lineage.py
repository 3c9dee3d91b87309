"""The lineage of an artifact is printed down to its roots."""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor

from phi4train.checkpoint.artifact import (
    Artifact,
    save_artifact,
)
from phi4train.checkpoint.lineage import lineage_text
from phi4train.errors import CheckpointError

RECIPE = {"data": {"manifest": "demo"}, "seed": 0}


def save(
    path: Path, components: Mapping[str, float], parents: Mapping[str, Artifact] | None = None
) -> Artifact:
    states: dict[str, dict[str, Tensor]] = {
        name: {"w": torch.full((3,), v)} for name, v in components.items()
    }
    return save_artifact(
        path,
        states,
        stage=path.name,
        parents=parents or {},
        recipe=RECIPE,
        data_fingerprint="d" * 64,
        code={"version": "0.1.0"},
        results={"perplexity": 12.5},
    )


def test_the_lineage_is_printed_down_to_the_roots_and_names_what_is_missing(tmp_path: Path) -> None:
    root = save(tmp_path / "root", {"language_model": 1.0})
    left = save(tmp_path / "left", {"vision_encoder": 2.0}, {"root": root})
    right = save(tmp_path / "right", {"lora.speech": 3.0}, {"root": root})
    top = save(tmp_path / "top", {"lora.vision": 4.0}, {"left": left, "right": right})
    text = lineage_text(top.path)
    assert text.count(root.lineage.identity[:12]) == 2
    assert "├─ left" in text and "└─ right" in text and "perplexity 12.5" in text
    shutil.rmtree(right.path)
    assert "right  missing" in lineage_text(top.path)


def test_branches_are_drawn_and_an_ancestor_stands_below_each(tmp_path: Path) -> None:
    root = save(tmp_path / "root", {"language_model": 1.0})
    left = save(tmp_path / "left", {"vision_encoder": 2.0}, {"root": root})
    right = save(tmp_path / "right", {"audio_encoder": 3.0}, {"root": root})
    joint = save(tmp_path / "joint", {"lora.vision": 4.0}, {"left": left, "right": right})
    stages = [
        re.split(r" {2}[0-9a-f]{12} ", line)[0]
        for line in lineage_text(joint.path).splitlines()
        if str(tmp_path) in line
    ]
    assert stages == ["joint", "├─ left", "│  └─ root", "└─ right", "   └─ root"]


def test_a_run_folder_stands_for_its_artifact(tmp_path: Path) -> None:
    artifact = save(tmp_path / "run" / "artifact", {"x": 1.0})
    assert lineage_text(tmp_path / "run") == lineage_text(artifact.path)


def test_a_copy_is_told_with_its_original_and_a_given_component_with_its_artifact(tmp_path: Path) -> None:
    init = {"lora.speech": "lora.vision", "vision_encoder": "/elsewhere"}
    artifact = save_artifact(
        tmp_path / "stage",
        {name: {"w": torch.ones(1)} for name in init},
        stage="stage",
        parents={},
        recipe={**RECIPE, "init": init},
        data_fingerprint="d" * 64,
        code={"version": "0.1.0"},
        results={},
        initialised_from={"lora.speech": "a" * 64, "vision_encoder": "b" * 64},
    )
    text = lineage_text(artifact.path)
    assert (
        f"init   lora.speech from lora.vision of {'a' * 12}, vision_encoder from {'b' * 12}\n" in f"{text}\n"
    )
    assert "result" not in text


def test_a_folder_without_an_artifact_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(
        CheckpointError, match=r"the artifact that phi4train lineage needs must exist · found none"
    ):
        lineage_text(tmp_path / "nowhere")
