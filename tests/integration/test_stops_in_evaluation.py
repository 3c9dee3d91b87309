"""A signal in the middle of an evaluation: the step is saved at once, and the evaluation runs again."""

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from phi4train.checkpoint.artifact import open_artifact
from phi4train.cli.main import main
from phi4train.config.schema import Resume
from phi4train.errors import ResumeError, StageInterrupted
from phi4train.evaluation import answers, evaluate, held_out
from phi4train.training.stage import train_stage
from phi4train.training.stage_run import StageRun
from tests.tiny_stage import TinyStage, build_tiny_stage, left_by, lines

QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> TinyStage:
    return build_tiny_stage(tmp_path_factory.mktemp("stops"))


@pytest.fixture(scope="module")
def straight(stage: TinyStage) -> dict[str, Any]:
    train_stage(stage.config("run.name=straight"), QUIET)
    return left_by(stage.run("straight"))


def signalled(monkeypatch: pytest.MonkeyPatch, where: str, call: int, signum: signal.Signals) -> None:
    """A signal comes as the evaluation calls a function the n-th time."""
    module: Any = {"generate": answers, "sum_losses": evaluate, "fit_baselines": held_out}[where]
    original, calls = getattr(module, where), []

    def with_signal(*arguments: Any, **options: Any) -> Any:
        calls.append(where)
        if len(calls) == call:
            os.kill(os.getpid(), signum)
        return original(*arguments, **options)

    monkeypatch.setattr(module, where, with_signal)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
@pytest.mark.parametrize(
    ("where", "call", "step"),
    [
        ("generate", 1, 3),
        ("sum_losses", 1, 3),
        ("fit_baselines", 1, 6),
        ("sum_losses", 2, 6),
        ("generate", 2, 6),
    ],
)
def test_it_stops_is_saved_and_measures_again(
    stage: TinyStage,
    straight: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    where: str,
    call: int,
    step: int,
    signum: signal.Signals,
) -> None:
    name = f"{where}-{call}-{signum.name}"
    config = stage.config(f"run.name={name}", "checkpoint.every_n_steps=0")
    before = [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)]
    with monkeypatch.context() as patched:
        signalled(patched, where, call, signum)
        end = "in the evaluation at its end " if step == 6 else ""
        with pytest.raises(
            StageInterrupted, match=rf"found {signum.name} after step {step}.*{end}· start the"
        ):
            train_stage(config, QUIET)
    assert [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)] == before
    run = stage.run(name)
    assert [path.name for path in (run / "checkpoints").iterdir()] == [f"step={step:08d}"]
    assert not (run / "artifact").exists() and not (run / "evaluation.json").exists()
    train_stage(config, QUIET)
    assert left_by(run) == straight


def test_a_kill_in_a_long_evaluation_loses_no_step_that_was_due(
    stage: TinyStage, straight: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def killed(*_: Any, **__: Any) -> None:
        raise Killed

    config = stage.config("run.name=killed", "checkpoint.every_n_steps=3")
    with monkeypatch.context() as patched:
        patched.setattr(answers, "generate", killed)
        with pytest.raises(Killed):
            train_stage(config, QUIET)
    run = stage.run("killed")
    assert [path.name for path in (run / "checkpoints").iterdir()] == ["step=00000003"]
    assert not (run / "evaluations.jsonl").exists()
    train_stage(config, QUIET)
    assert [line["step"] for line in lines(run / "evaluations.jsonl")] == [2]
    assert left_by(run) == straight


def test_a_signal_while_the_artifact_is_published_ends_the_command_after_it(
    stage: TinyStage, straight: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = StageRun.publish

    def publish(self: StageRun, results: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return original(self, results)

    monkeypatch.setattr(StageRun, "publish", publish)
    with pytest.raises(StageInterrupted, match=r"found SIGTERM when `lm_pretrain` was all but done"):
        train_stage(stage.config("run.name=published"), QUIET)
    assert left_by(stage.run("published")) == straight
    assert (stage.run("published") / "loss.png").is_file()


def test_the_command_line_ends_with_75_within_seconds(stage: TinyStage, straight: dict[str, Any]) -> None:
    name, run = "run.name=command", stage.run("command")
    long = ["evaluation.max_new_tokens=100000", "evaluation.every_n_steps=0"]
    process = stage.start(name, *long)
    deadline = time.monotonic() + 120
    while not (run / "checkpoints" / "step=00000006").is_dir() and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(1.0)
    assert process.poll() is None, process.communicate()[0]
    asked = time.monotonic()
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 75, output
    assert time.monotonic() - asked < 20, (
        "one to two on an idle machine; what is left to generate takes minutes"
    )
    assert "found SIGTERM after step 6, in the evaluation at its end" in output and "Traceback" not in output
    assert main(stage.words(name)) == 0
    artifact = open_artifact(run / "artifact", "the test")
    assert (artifact.lineage.identity, artifact.lineage.results) == (
        straight["identity"],
        straight["results"],
    )


@pytest.mark.parametrize("asked", [Resume.overwrite, Resume.never])
def test_a_requeued_job_goes_on_and_a_person_starts_anew(
    stage: TinyStage, monkeypatch: pytest.MonkeyPatch, asked: Resume
) -> None:
    config = stage.config(f"run.name={asked.name}", f"resume={asked.name}")
    run = stage.run(asked.name)
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    with monkeypatch.context() as patched:
        signalled(patched, "generate", 1, signal.SIGUSR1)
        advice = f"again, but with resume=auto instead of resume={asked.name}, to go on"
        with pytest.raises(StageInterrupted, match=advice):
            train_stage(config, QUIET)
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    started: list[int] = []
    original: Callable[[StageRun], None] = StageRun.fit
    monkeypatch.setattr(StageRun, "fit", lambda run: (started.append(run.module.next_step), original(run)))
    artifact = train_stage(config, QUIET)
    assert started == [3] and not list(run.glob("previous-*"))
    monkeypatch.setenv("SLURM_RESTART_COUNT", "2")
    assert train_stage(config, QUIET) == artifact and started == [3], "it is done"
    monkeypatch.setenv("SLURM_JOB_ID", "18")
    if asked is Resume.overwrite:
        train_stage(config, QUIET)
        assert started == [3, 0] and len(list(run.glob("previous-*"))) == 1
    else:
        with pytest.raises(ResumeError, match="resume=never"):
            train_stage(config, QUIET)
