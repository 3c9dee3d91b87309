"""Only a later attempt of the very job that began a run goes on with it against its own `resume`."""

from pathlib import Path

import pytest

from phi4train.config.schema import Resume
from phi4train.run.requeue import Attempt, current_attempt, note_beginning, resume_mode
from phi4train.run.run_folder import RunFolder

FIRST, REQUEUED = Attempt("17", 0), Attempt("17", 1)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """Of a run that has saved something."""
    (tmp_path / "checkpoints" / "step=00000002").mkdir(parents=True)
    return RunFolder(tmp_path)


@pytest.mark.parametrize("asked", [Resume.overwrite, Resume.never])
def test_a_requeued_job_goes_on_with_what_it_began(asked: Resume, folder: RunFolder) -> None:
    note_beginning(folder, FIRST)
    assert resume_mode(asked, False, folder, REQUEUED) is Resume.auto
    assert resume_mode(asked, False, folder, Attempt("17", 2)) is Resume.auto, "and so does its next attempt"


@pytest.mark.parametrize(
    ("began", "now"),
    [
        (FIRST, FIRST),  # typed again in one allocation
        (FIRST, Attempt("18", 0)),  # submitted again
        (FIRST, Attempt("18", 3)),
        (REQUEUED, FIRST),
        (FIRST, None),  # typed at a terminal
        (None, REQUEUED),  # a person began it
    ],
)
@pytest.mark.parametrize("asked", [Resume.overwrite, Resume.never])
def test_whoever_else_types_the_command_gets_what_it_says(
    began: Attempt | None, now: Attempt | None, asked: Resume, folder: RunFolder
) -> None:
    note_beginning(folder, FIRST)
    note_beginning(folder, began)
    assert resume_mode(asked, False, folder, now) is asked


def test_a_requeued_job_does_not_go_on_with_something_else(folder: RunFolder) -> None:
    note_beginning(folder, FIRST)
    assert resume_mode(Resume.overwrite, True, folder, REQUEUED) is Resume.overwrite


def test_a_run_that_has_saved_nothing_is_begun_again(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    note_beginning(folder, FIRST)
    assert resume_mode(Resume.overwrite, False, folder, REQUEUED) is Resume.overwrite


@pytest.mark.parametrize("text", ["", "[]", "{", '{"job": "17"}', '{"job": "17", "restarts": "x"}', "7"])
def test_a_damaged_note_is_none(text: str, folder: RunFolder) -> None:
    folder.begun_by.write_text(text)
    assert resume_mode(Resume.overwrite, False, folder, REQUEUED) is Resume.overwrite


def test_what_began_a_run_is_set_aside_with_it(folder: RunFolder) -> None:
    note_beginning(folder, FIRST)
    aside = folder.set_aside()
    assert (aside / "begun_by.json").is_file() and not folder.begun_by.exists()


def test_slurm_tells_of_jobs_and_restarts() -> None:
    assert current_attempt({"SLURM_JOB_ID": "17"}) == FIRST
    assert current_attempt({"SLURM_JOB_ID": "17", "SLURM_RESTART_COUNT": "1"}) == REQUEUED
    assert current_attempt({}) is None
    assert current_attempt({"SLURM_RESTART_COUNT": "1"}) is None
    assert current_attempt({"SLURM_JOB_ID": "17", "SLURM_RESTART_COUNT": "often"}) is None
