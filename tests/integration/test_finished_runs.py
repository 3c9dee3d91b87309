"""A finished run is completed after a kill, made again from its checkpoint, extended, or branched."""

import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from phi4train.checkpoint import store
from phi4train.checkpoint.artifact import open_artifact
from phi4train.checkpoint.lineage import lineage_text
from phi4train.errors import ResumeError
from phi4train.evaluation import report
from phi4train.training import stage as stage_module
from phi4train.training import stage_run
from phi4train.training.stage import train_stage
from tests.tiny_stage import TinyStage, build_tiny_stage, left_by, lines

QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> TinyStage:
    return build_tiny_stage(tmp_path_factory.mktemp("finished"))


@pytest.fixture(scope="module")
def straight(stage: TinyStage) -> dict[str, Any]:
    train_stage(stage.config("run.name=straight"), QUIET)
    return left_by(stage.run("straight"))


@pytest.fixture
def copied(stage: TinyStage, straight: dict[str, Any]) -> Iterator[Path]:
    """A copy of the finished run, which a test may spoil; name: copied."""
    run = stage.run("copied")
    shutil.copytree(stage.run("straight"), run)
    yield run
    shutil.rmtree(run)


def told(stage: TinyStage, *more: str) -> str:
    """What training a run prints."""
    out = io.StringIO()
    train_stage(stage.config(*more), Console(width=400, file=out))
    return out.getvalue()


class Killed(BaseException):
    """As if the process had ended here."""


PLACES = {
    "the last checkpoint is half written": (store, "publish_folder", 3, "before"),
    "the last checkpoint is written": (store, "publish_folder", 3, "after"),
    "the last evaluation begins": (stage_run.StageRun, "evaluate_at_end", 1, "before"),
    "answers are written": (report, "write_atomically", 1, "after"),
    "results are half written": (report, "write_atomically", 2, "before"),
    "results are written": (report, "write_atomically", 2, "after"),
    "the artifact is half written": (store, "publish_folder", 4, "before"),
    "the artifact is written": (store, "publish_folder", 4, "after"),
    "the picture is not drawn": (stage_module, "draw_losses", 1, "before"),
    "the picture is drawn": (stage_module, "draw_losses", 1, "after"),
}
"""Module, function, the how many-th call of it, and on which side of it the kill comes."""


@pytest.mark.parametrize("place", PLACES)
def test_a_kill_anywhere_after_the_last_step_leaves_nothing_undone(
    stage: TinyStage, straight: dict[str, Any], monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    module, name, call, side = PLACES[place]
    original, calls = getattr(module, name), []

    def killing(*arguments: Any, **options: Any) -> Any:
        calls.append(name)
        if len(calls) == call and side == "before":
            raise Killed
        result = original(*arguments, **options)
        if len(calls) == call:
            raise Killed
        return result

    words = f"run.name={place.replace(' ', '-')}"
    with monkeypatch.context() as patched:
        patched.setattr(module, name, killing)
        patched.setattr(shutil, "rmtree", lambda *_, **__: None)  # a killed process cleans nothing up
        with pytest.raises(Killed):
            train_stage(stage.config(words), QUIET)
    train_stage(stage.config(words), QUIET)
    run = stage.run(place.replace(" ", "-"))
    assert left_by(run) == straight
    assert (run / "loss.png").is_file() and not list(run.rglob("*.tmp-*"))


@pytest.mark.parametrize("name", ["language_model.safetensors", "lineage.json"])
def test_a_damaged_artifact_is_told_and_made_again(
    stage: TinyStage, straight: dict[str, Any], copied: Path, name: str
) -> None:
    path = copied / "artifact" / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    said = told(stage, "run.name=copied")
    assert f"its artifact is damaged ({name} does not match its sha256)" in said and "step 1/6" not in said
    assert left_by(copied) == straight
    (aside,) = copied.glob("previous-*/artifact")
    assert (aside / name).read_bytes() == content
    assert "is done" in told(stage, "run.name=copied")


def test_metrics_that_a_finished_run_has_lost_are_told(stage: TinyStage, copied: Path) -> None:
    assert "lost" not in told(stage, "run.name=copied")
    path = copied / "metrics.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-2]))
    assert f"{path} has lost the metrics of 2 of 6 steps" in told(stage, "run.name=copied")
    path.unlink()
    assert f"{path} has lost the metrics of 6 of 6 steps" in told(stage, "run.name=copied")


CONSTANT = ("schedule.kind=constant", "optimizer.lr=1e-3", "optimizer.lr_law=null")


@pytest.fixture(scope="module")
def longer(stage: TinyStage) -> dict[str, Any]:
    train_stage(stage.config("run.name=longer", *CONSTANT, "budget.max_steps=9"), QUIET)
    return left_by(stage.run("longer"))


@pytest.mark.parametrize("first", [5, 6])
def test_a_run_with_more_steps_equals_one_that_was_as_long_from_its_start(
    stage: TinyStage, longer: dict[str, Any], first: int
) -> None:
    words = (f"run.name=extended-{first}", *CONSTANT)
    run = stage.run(f"extended-{first}")
    train_stage(stage.config(*words, f"budget.max_steps={first}"), QUIET)
    identity = open_artifact(run / "artifact", "the test").lineage.identity
    said = told(stage, *words, "budget.max_steps=9")
    assert f"it goes on to another number of steps (budget.max_steps: {first} -> 9)" in said
    assert left_by(run) == longer
    (aside,) = run.glob("previous-*")
    assert open_artifact(aside / "artifact", "the test").lineage.identity == identity
    assert (aside / "evaluation.json").is_file() and (aside / "loss.png").is_file()
    assert open_artifact(run / "artifact", "the test").lineage.recipe["budget"]["max_steps"] == 9


def test_a_schedule_that_knows_its_end_is_not_extended_but_left_by_a_branch(stage: TinyStage) -> None:
    cosine = ("schedule.kind=cosine", "optimizer.lr=1e-3", "optimizer.lr_law=null")
    train_stage(stage.config("run.name=cosine", *cosine), QUIET)
    before = left_by(stage.run("cosine"))
    message = r"budget.max_steps: 6 -> 9, but step 2 had the learning rate .*run.branch_from="
    with pytest.raises(ResumeError, match=f"(?s){message}"):
        train_stage(stage.config("run.name=cosine", *cosine, "budget.max_steps=9"), QUIET)
    assert left_by(stage.run("cosine")) == before and not list(stage.run("cosine").glob("previous-*"))


def test_a_branch_follows_the_run_that_it_left_until_its_own_recipe_differs(
    stage: TinyStage, longer: dict[str, Any]
) -> None:
    kept = ("run.name=source", *CONSTANT, "checkpoint.keep_every_n=2")
    train_stage(stage.config(*kept), QUIET)
    source = f"{stage.run('source')}@4"
    branch = (f"run.branch_from={source}", *CONSTANT, "budget.max_steps=9")
    train_stage(stage.config("run.name=same", *branch), QUIET)
    same = left_by(stage.run("same"))
    assert same["metrics"] == longer["metrics"][4:] and same["identity"] == longer["identity"]
    record = open_artifact(stage.run("same") / "artifact", "the test").lineage.branched_from
    assert (record["from"], record["step"]) == (source, 4)
    assert f"branch from {source}" in lineage_text(stage.run("same"))
    assert "lost" not in told(stage, "run.name=same", *branch)

    train_stage(stage.config("run.name=other", *branch, "optimizer.weight_decay=0.5"), QUIET)
    other = left_by(stage.run("other"))
    assert other["metrics"][0] == longer["metrics"][4] and other["metrics"][1] != longer["metrics"][5]
    shutil.rmtree(stage.run("source"))
    shutil.rmtree(stage.run("other") / "artifact")
    told_again = told(stage, "run.name=other", *branch, "optimizer.weight_decay=0.5")
    assert "resuming from" in told_again and "lost" not in told_again, "what it left may be gone by then"
    assert left_by(stage.run("other")) == other
    with pytest.raises(ResumeError, match=r"run.branch_from: .*source@4 -> elsewhere"):
        train_stage(stage.config("run.name=same", *branch, "run.branch_from=elsewhere"), QUIET)


def test_a_resumed_run_keeps_the_threads_that_it_began_with(
    stage: TinyStage, straight: dict[str, Any], copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(copied / "artifact")
    shutil.rmtree(copied / "checkpoints" / "step=00000006")
    monkeypatch.setattr("phi4train.run.torch_setup._MACHINE_THREADS", 3)
    said = told(stage, "run.name=copied", "hardware.num_threads=0")
    assert "goes on with the 1 CPU threads that it began with" in said and torch.get_num_threads() == 1
    assert left_by(copied) == straight
    assert [line["step"] for line in lines(copied / "metrics.jsonl")] == list(range(6))
