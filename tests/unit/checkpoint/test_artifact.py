import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from phi4train.checkpoint.artifact import (
    Artifact,
    all_components,
    artifact_in,
    find_component,
    hash_tensors,
    load_component,
    open_artifact,
    save_artifact,
)
from phi4train.checkpoint.store import write_folder
from phi4train.errors import CheckpointError, NonFiniteError

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


def test_a_component_is_found_through_the_lineage(tmp_path: Path) -> None:
    root = save(tmp_path / "lm_sft", {"language_model": 1.0})
    child = save(tmp_path / "align", {"vision_projector": 2.0}, {"lm_sft": root})
    grandchild = save(tmp_path / "pretrain", {"vision_projector": 3.0}, {"align": child})
    holder = find_component({"pretrain": grandchild}, "language_model")
    assert holder is not None and holder.path == root.path
    assert torch.equal(load_component(holder, "language_model")["w"], torch.full((3,), 1.0))
    newest = find_component({"pretrain": grandchild}, "vision_projector")
    assert newest is not None and newest.lineage.stage == "pretrain"
    assert find_component({"pretrain": grandchild}, "lora.vision") is None
    assert all_components({"pretrain": grandchild}) == {"language_model", "vision_projector"}


def test_two_branches_may_share_an_ancestor_but_not_disagree(tmp_path: Path) -> None:
    root = save(tmp_path / "root", {"language_model": 1.0})
    left = save(tmp_path / "left", {"vision_encoder": 2.0}, {"root": root})
    right = save(tmp_path / "right", {"lora.speech": 3.0}, {"root": root})
    assert find_component({"left": left, "right": right}, "language_model") is not None
    other = save(tmp_path / "other", {"language_model": 9.0})
    with pytest.raises(CheckpointError, match="must agree on the component language_model"):
        find_component({"left": left, "other": other}, "language_model")


def test_the_identity_depends_on_tensors_and_parents_only(tmp_path: Path) -> None:
    first = save(tmp_path / "a" / "stage", {"x": 1.0})
    again = save(tmp_path / "b" / "stage", {"x": 1.0})
    changed = save(tmp_path / "c" / "stage", {"x": 2.0})
    with_parent = save(tmp_path / "d" / "stage", {"x": 1.0}, {"p": changed})
    assert first.lineage.identity == again.lineage.identity
    assert len({first.lineage.identity, changed.lineage.identity, with_parent.lineage.identity}) == 3


def test_a_replaced_parent_is_refused(tmp_path: Path) -> None:
    root = save(tmp_path / "root", {"x": 1.0})
    child = save(tmp_path / "child", {"y": 1.0}, {"root": root})
    save(tmp_path / "root", {"x": 5.0})
    with pytest.raises(
        CheckpointError, match=r"must be artifact \w{12} · found \w{12} in .* · put the old artifact back"
    ):
        child.parent("root")


def test_parents_are_found_where_runs_have_been_set_aside(tmp_path: Path) -> None:
    root = save(tmp_path / "root" / "demo" / "artifact", {"x": 1.0})
    child = save(tmp_path / "child" / "demo" / "artifact", {"y": 1.0}, {"root": root})
    aside = tmp_path / "child" / "demo" / "previous-0"
    shutil.copytree(child.path, aside / "artifact")
    old_child = open_artifact(aside / "artifact", "the test")
    assert old_child.parent("root").path == root.path, "a child set aside itself"

    moved = root.path.parent / "previous-1" / "artifact"
    moved.parent.mkdir()
    root.path.rename(moved)
    assert child.parent("root").path == moved, "a parent that is gone from its place"
    save(root.path, {"x": 5.0})
    assert child.parent("root").path == old_child.parent("root").path == moved, "another one is there"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, r"must be of format 1 · found 2 · .*train its stage again"),
        ({"format": None}, r"must be of format 1 · found None"),
        (
            {"colour": "red"},
            r"fields of a lineage · found colour missing or unknown · .* set the artifact aside",
        ),
        ({"stage": None}, r"fields of a lineage · found stage missing"),
    ],
)
def test_foreign_lineage_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    document = json.loads((save(tmp_path / "root", {"x": 1.0}).path / "lineage.json").read_text())
    changed = {key: value for key, value in (document | change).items() if value is not None}
    write_folder(tmp_path / "foreign", {}, {"lineage": changed})
    with pytest.raises(CheckpointError, match=message):
        open_artifact(tmp_path / "foreign", "the test")


def test_a_lineage_without_initial_artifacts_is_read(tmp_path: Path) -> None:
    document = json.loads((save(tmp_path / "root", {"x": 1.0}).path / "lineage.json").read_text())
    del document["initialised_from"]
    write_folder(tmp_path / "older", {}, {"lineage": document})
    assert open_artifact(tmp_path / "older", "the test").lineage.initialised_from == {}


def test_a_flipped_bit_is_found_when_a_component_is_loaded(tmp_path: Path) -> None:
    artifact = save(tmp_path / "root", {"x": 1.0})
    file = artifact.path / "x.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(CheckpointError, match=r"must match the hash in its lineage · found .* · restore it"):
        load_component(open_artifact(artifact.path, "the test"), "x")


def test_a_moved_tree_of_runs_still_finds_its_parents(tmp_path: Path) -> None:
    root = save(tmp_path / "runs" / "root", {"x": 1.0})
    save(tmp_path / "runs" / "child", {"y": 1.0}, {"root": root})
    shutil.move(tmp_path / "runs", tmp_path / "elsewhere")
    moved = open_artifact(tmp_path / "elsewhere" / "child", "the test")
    assert moved.parent("root").lineage.identity == root.lineage.identity


def test_the_hash_tells_names_shapes_and_types_apart() -> None:
    ones = torch.ones(4)
    variants = [
        {"a": ones},
        {"b": ones},
        {"a": ones.reshape(2, 2)},
        {"a": ones.to(torch.float64)},
        {"a": ones * 2},
    ]
    assert len({hash_tensors(state) for state in variants}) == len(variants)


def test_numbers_that_are_not_finite_are_not_published(tmp_path: Path) -> None:
    with pytest.raises(
        NonFiniteError, match=r"finite · found 3 of 3 numbers of x/w NaN .* · lower optimizer.lr"
    ):
        save(tmp_path / "root", {"x": float("nan"), "y": 1.0})
    assert list(tmp_path.iterdir()) == []


def test_a_parent_of_numbers_that_are_not_finite_is_refused_when_it_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as older_version:
        older_version.setattr("phi4train.checkpoint.artifact.find_non_finite", lambda tensors: None)
        artifact = save(tmp_path / "root", {"x": float("inf")})
    with pytest.raises(
        CheckpointError, match=r"root/x.safetensors must .* · found 3 of 3 numbers of w NaN or"
    ):
        load_component(artifact, "x")


def test_a_run_folder_means_the_artifact_in_it(tmp_path: Path) -> None:
    artifact = save(tmp_path / "runs" / "lm" / "demo" / "artifact", {"language_model": 1.0})
    for path in (artifact.path, artifact.path.parent):
        assert artifact_in(path) == artifact.path
        assert open_artifact(path, needed_by="the test") == artifact
    assert artifact_in(tmp_path / "nowhere") == tmp_path / "nowhere"


@pytest.mark.parametrize(
    "files",
    [[], ["config.json", "model-00001-of-00002.safetensors", "tokenizer.json"], ["metrics.jsonl", ".lock"]],
)
def test_a_folder_that_is_no_artifact_is_told_as_such_and_nobody_is_to_delete_it(
    files: list[str], tmp_path: Path
) -> None:
    for name in files:
        (tmp_path / name).write_text("{}")
    with pytest.raises(CheckpointError) as caught:
        open_artifact(tmp_path, needed_by="stage `sft`")
    told = str(caught.value)
    assert f"found neither in {tmp_path}, which holds {sorted(files)[0] if files else 'nothing'}" in told
    assert told.endswith("· correct the path")
    assert not {"delete", "again", "overwrite", "set aside"} & {*told.replace(",", "").split()}
