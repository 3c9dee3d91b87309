"""The lineage of an artifact is printed down to its roots."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from phi4train.checkpoint.artifact import (
    Artifact,
    save_artifact,
)
from phi4train.checkpoint.lineage import lineage_text

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
