from dataclasses import replace
from pathlib import Path

import pytest
import torch

from phi4train.checkpoint import store
from phi4train.checkpoint.training_state import (
    CheckpointFolder,
    TrainingState,
    load_training_state,
)
from phi4train.errors import CheckpointError, NonFiniteError


def state(step: int) -> TrainingState:
    return TrainingState(
        step=step,
        slices={
            "model/language_model/norm.weight@0": torch.full((2,), float(step)),
            "exp_avg/language_model/norm.weight@0": torch.full((2,), 0.5),
        },
        progress={"samples": 10 * step},
    )


def test_a_state_reads_back_whole(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path / "checkpoints", keep_last_n=2, keep_every_n=0)
    read = load_training_state(folder.save(state(5)))
    assert read.step == 5 and read.progress == {"samples": 50}
    tensors = read.tensors()
    assert torch.equal(tensors.read("model/language_model/norm.weight", (2,)), torch.full((2,), 5.0))
    assert torch.equal(tensors.read("exp_avg/language_model/norm.weight", (2, 1)), torch.full((2, 1), 0.5))


def test_the_newest_complete_checkpoint_is_taken_and_a_damaged_one_named(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path, keep_last_n=3, keep_every_n=0)
    folder.save(state(1))
    newest = folder.save(state(2))
    (newest / "rank00000.safetensors").write_bytes(b"cut")
    (tmp_path / "step=00000009.tmp-x").mkdir()
    found, damaged = folder.newest_complete()
    assert found == tmp_path / "step=00000001"
    assert [checkpoint.path for checkpoint in damaged] == [newest]
    assert "rank00000.safetensors has 3 bytes" in damaged[0].damage


def flip(path: Path) -> None:
    """One bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["rank00000.safetensors", "state.json", "files.json"])
def test_new_checkpoints_outlive_damaged_ones_of_later_steps(tmp_path: Path, name: str) -> None:
    for step in (7, 14):
        flip(CheckpointFolder(tmp_path, 2, 0).save(state(step)) / name)
    (tmp_path / "step=00000039").mkdir()
    for keep_last_n in (1, 2):
        folder = CheckpointFolder(tmp_path, keep_last_n, keep_every_n=0)
        for step in (2, 4, 6):
            folder.save(state(step))
        assert [step for step in folder.steps() if step < 7] == [2, 4, 6][-keep_last_n:]
        newest, damaged = folder.newest_complete()
        assert newest is not None and newest.name == "step=00000006"
        assert [checkpoint.path.name[-2:] for checkpoint in damaged] == ["39", "14", "07"]


def test_a_damaged_checkpoint_is_renamed_and_no_longer_counts(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path, keep_last_n=3, keep_every_n=0)
    for _ in range(2):
        (tmp_path / "step=00000039").mkdir()
        (damaged,) = folder.newest_complete()[1]
        assert damaged.set_aside().name.startswith("damaged-step=00000039")
    assert folder.steps() == [] and len(folder.set_aside()) == 2


def test_a_list_of_files_that_forgets_one_is_damage(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path, keep_last_n=3, keep_every_n=0)
    (folder.save(state(1)) / "files.json").write_text("{}")
    ((damaged,), newest) = folder.newest_complete()[::-1]
    assert newest is None and "does not list rank00000.safetensors" in damaged.damage


def test_a_checkpoint_of_an_earlier_version_is_told_as_such(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path, keep_last_n=3, keep_every_n=0)
    store.write_folder(tmp_path / "step=00000001", {"model": {"a/w": torch.ones(1)}}, {"state": {"step": 1}})
    newest, (old,) = folder.newest_complete()
    assert newest is None and old.damage.startswith("an earlier version of phi4train wrote it")


def test_the_newest_document_is_that_of_a_checkpoint_that_verifies(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path, keep_last_n=3, keep_every_n=0)
    assert folder.newest_document() is None
    for step in (1, 2):
        saved = folder.save(replace(state(step), progress={"inputs": {"data": "000b"}}))
    document = saved / "state.json"
    document.write_text(document.read_text().replace("000b", "400b"))
    assert folder.newest_document() == {"step": 1, "progress": {"inputs": {"data": "000b"}}}


def test_tensors_that_were_verified_are_not_hashed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[str] = []
    original = store.file_sha256
    monkeypatch.setattr(store, "file_sha256", lambda path: (hashed.append(path.name), original(path))[1])
    CheckpointFolder(tmp_path, keep_last_n=3, keep_every_n=0).save(state(1))
    folder = CheckpointFolder(tmp_path, keep_last_n=3, keep_every_n=0)
    hashed.clear()
    for _ in range(3):
        assert folder.newest_document() is not None
    assert sorted(hashed) == sorted(["rank00000.safetensors", *["state.json"] * 3])
    (tmp_path / "step=00000001" / "rank00000.safetensors").write_bytes(b"cut")
    assert folder.newest_complete()[0] is None, "sizes are looked at again"


def test_old_checkpoints_go_but_every_nth_stays(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path, keep_last_n=2, keep_every_n=4)
    for step in range(1, 11):
        folder.save(state(step))
    assert folder.steps() == [4, 8, 9, 10]


@pytest.mark.parametrize("kind", ["model", "exp_avg"])
def test_numbers_that_are_not_finite_are_not_saved_and_the_last_good_checkpoint_is_named(
    tmp_path: Path, kind: str
) -> None:
    folder = CheckpointFolder(tmp_path, keep_last_n=1, keep_every_n=0)
    bad = replace(state(2), slices={f"{kind}/language_model/w@0": torch.tensor([1.0, float("nan")])})
    with pytest.raises(NonFiniteError, match=r"1 of 2 numbers of \w+/language_model/w@0 .*after step 2 · "):
        folder.save(bad)
    assert "no checkpoint was saved" in folder.last_good()
    folder.save(state(1))
    with pytest.raises(NonFiniteError):
        folder.save(bad)
    assert folder.last_good().endswith("step=00000001") and folder.steps() == [1]


def test_a_checkpoint_of_numbers_that_are_not_finite_is_not_gone_on_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = CheckpointFolder(tmp_path, keep_last_n=1, keep_every_n=0)
    with monkeypatch.context() as older_version:
        older_version.setattr("phi4train.checkpoint.training_state.find_non_finite", lambda tensors: None)
        saved = folder.save(replace(state(2), slices={"model/x/w@0": torch.tensor([float("inf")])}))
    tensors = load_training_state(saved).tensors()
    with pytest.raises(CheckpointError, match=r"step=00000002 must hold finite numbers only · found 1 of 1"):
        tensors.read("model/x/w", (1,))
