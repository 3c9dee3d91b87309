"""What a stage starts from has a fingerprint each, and a missing parent is told with its command."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from phi4train.checkpoint.artifact import Artifact, save_artifact
from phi4train.config.schema import Config
from phi4train.errors import CheckpointError
from phi4train.run.inputs import open_inputs, open_parents
from phi4train.run.paths import artifact_path

LoadOwn = Callable[..., Config]


def make_parent(config: Config, value: float = 1.0) -> Artifact:
    return save_artifact(
        artifact_path(config, "lm_pretrain"),
        {"language_model": {"w": torch.full((2,), value)}},
        stage="lm_pretrain",
        parents={},
        recipe={},
        data_fingerprint="d",
        code={},
        results={},
    )


def test_a_missing_parent_is_told_with_the_command_that_makes_it(own: LoadOwn) -> None:
    config = own(stage="lm_sft")
    with pytest.raises(
        CheckpointError, match="must start from the artifact of `lm_pretrain` · found none at"
    ) as caught:
        open_parents(config)
    assert f"phi4train stage=lm_pretrain scale=demo run.root={config.run.root}" in str(caught.value)


def test_a_parent_is_found_in_its_run_and_where_it_is_pointed_at(own: LoadOwn, tmp_path: Path) -> None:
    config = own(stage="lm_sft")
    parent = make_parent(config)
    assert open_parents(config) == {"lm_pretrain": parent}
    parent.path.rename(tmp_path / "moved")
    assert open_parents(own(f"run.parents.lm_pretrain={tmp_path}/moved", stage="lm_sft")) == {
        "lm_pretrain": Artifact(tmp_path / "moved", parent.lineage)
    }


def test_every_input_has_a_fingerprint_that_follows_it(own: LoadOwn, tmp_path: Path) -> None:
    config = own(stage="lm_sft")
    make_parent(config)
    before = open_inputs(config).fingerprints()
    assert before.keys() == {"data", "parent lm_pretrain"}
    assert open_inputs(own("seed=9", "optimizer.lr=1e-5", stage="lm_sft")).fingerprints() == before
    make_parent(config, value=2.0)
    other_parent = open_inputs(config).fingerprints()
    assert [key for key in before if before[key] != other_parent[key]] == ["parent lm_pretrain"]
    other_data = open_inputs(own(stage="lm_sft", sources=("text",))).fingerprints()
    assert [key for key in before if other_data[key] != other_parent[key]] == ["data"]


def test_a_component_from_an_artifact_folder_is_an_input_and_a_fresh_one_is_none(
    own: LoadOwn, tmp_path: Path
) -> None:
    given = make_parent(own())
    inputs = open_inputs(own(f"init.language_model={given.path}"))
    assert inputs.initialised_from == {"language_model": given.lineage.identity}
    assert inputs.fingerprints()["init.language_model"] == given.lineage.identity
    assert open_inputs(own()).fingerprints().keys() == {"data"}


def test_a_parent_may_be_named_by_its_run_folder(own: LoadOwn) -> None:
    parent = make_parent(own(stage="lm_sft"))
    config = own(f"run.parents.lm_pretrain={parent.path.parent}", stage="lm_sft")
    assert open_parents(config) == {"lm_pretrain": parent}
    named = own(f"init.language_model={parent.path.parent}")
    assert open_inputs(named).initialised_from == {"language_model": parent.lineage.identity}


def test_a_run_of_another_name_starts_from_the_scales_run_until_it_has_a_parent_of_its_own(
    own: LoadOwn,
) -> None:
    of_scale, config = make_parent(own(stage="lm_sft")), own("run.name=try2", stage="lm_sft")
    assert open_parents(config) == {"lm_pretrain": of_scale}
    of_its_name = make_parent(own("run.name=try2"), value=2.0)
    assert of_its_name.path.parent.name == "try2"
    assert open_parents(config) == {"lm_pretrain": of_its_name}
