from pathlib import Path

import torch

from phi4train.checkpoint.training_state import (
    CheckpointFolder,
    TrainingState,
    capture_random_state,
    load_training_state,
    restore_random_state,
)


def state(step: int) -> TrainingState:
    return TrainingState(
        step=step,
        model={"language_model/norm.weight": torch.full((2,), float(step))},
        optimizer={"step/language_model/norm.weight": torch.tensor(float(step))},
        random=capture_random_state(),
        progress={"samples": 10 * step},
    )


def test_a_state_reads_back_whole(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path / "checkpoints", keep_last_n=2, keep_every_n=0)
    read = load_training_state(folder.save(state(5)))
    assert read.step == 5 and read.progress == {"samples": 50}
    assert torch.equal(read.model["language_model/norm.weight"], torch.full((2,), 5.0))


def test_the_newest_complete_checkpoint_is_taken_and_a_damaged_one_named(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path, keep_last_n=3, keep_every_n=0)
    folder.save(state(1))
    newest = folder.save(state(2))
    (newest / "model.safetensors").write_bytes(b"cut")
    (tmp_path / "step=00000009.tmp-x").mkdir()
    found, passed_over = folder.newest_complete()
    assert found == tmp_path / "step=00000001"
    assert len(passed_over) == 1 and "step=00000002" in passed_over[0]
    assert not (tmp_path / "step=00000009.tmp-x").exists()


def test_old_checkpoints_go_but_every_nth_stays(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path, keep_last_n=2, keep_every_n=4)
    for step in range(1, 11):
        folder.save(state(step))
    assert folder.steps() == [4, 8, 9, 10]


def test_random_numbers_go_on_where_they_were() -> None:
    captured = capture_random_state()
    expected = torch.rand(5)
    torch.rand(7)
    restore_random_state(captured)
    assert torch.equal(torch.rand(5), expected)
