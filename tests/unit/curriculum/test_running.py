"""A curriculum trains what is missing or stale, parents first, and says why."""

import io
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from phi4train.config.schema import Config, Resume, RunPathsConfig
from phi4train.curriculum import forecast
from phi4train.curriculum import running as run
from phi4train.curriculum.running import run_curriculum
from phi4train.errors import CheckpointError, ConfigError, ResumeError
from phi4train.run.opened import OpenedStage
from phi4train.run.paths import run_path
from phi4train.run.run_folder import RunFolder
from phi4train.run.status import StageStatus

PARENTS = {"sft": ["lm"], "lm": [], "vision": ["sft"]}
MISSING = StageStatus(None, ("it has no artifact yet",))
STALE = StageStatus(None, ("recipe: seed: 0 -> 7", "data: a -> b"), is_stale=True)
INTERRUPTED = StageStatus(None, ("it was interrupted",))

NO_INPUTS: Any = SimpleNamespace(fingerprints=dict)

Bring = Callable[..., tuple[list[tuple[str, Resume]], str]]


@pytest.fixture
def bring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bring:
    """Runs the curriculum on made-up statuses; returns what was trained, and how, and what was printed."""

    def curriculum(
        statuses: dict[str, StageStatus], fails: str = "", may_replace: bool = False
    ) -> tuple[list[tuple[str, Resume]], str]:
        trained: list[tuple[str, Resume]] = []

        def train(stage: OpenedStage, console: object) -> Path:
            config = stage.config
            if config.stage == fails:
                raise CheckpointError("no space")
            trained.append((config.stage, config.resume))
            return stage.folder.artifact

        def open_known(config: Config) -> OpenedStage:
            return KnownStage(config, RunFolder(run_path(config, config.stage)), NO_INPUTS)

        class KnownStage(OpenedStage):
            def status(self) -> StageStatus:
                return statuses[self.config.stage]

        monkeypatch.setattr(run, "open_stage", open_known)
        monkeypatch.setattr(forecast, "look_at_stage", open_known)
        monkeypatch.setattr(run, "train_opened", train)
        monkeypatch.setattr(run, "summary_table", lambda artifacts, width: f"{len(artifacts)} artifacts")
        monkeypatch.setattr(run, "print_regressions", lambda artifacts, console: None)

        def load(stage: str) -> Config:
            paths = RunPathsConfig(root=str(tmp_path), name="demo")
            return Config(stage=stage, parents=PARENTS[stage], run=paths)

        out = io.StringIO()
        try:
            run_curriculum(list(PARENTS), load, Console(file=out, width=200), may_replace)
        except CheckpointError:
            assert fails
        return trained, out.getvalue()

    return curriculum


def done(stage: str) -> StageStatus:
    artifact = SimpleNamespace(lineage=SimpleNamespace(identity=stage * 12))
    return StageStatus(artifact, ())  # type: ignore[arg-type]


def test_missing_stages_are_trained_parents_first(bring: Bring) -> None:
    trained, printed = bring(dict.fromkeys(PARENTS, MISSING))
    assert trained == [(stage, Resume.auto) for stage in ("lm", "sft", "vision")]
    assert printed.startswith("curriculum: lm → sft → vision\n") and "3 artifacts" in printed


def test_what_is_done_is_left_alone_and_named(bring: Bring) -> None:
    trained, printed = bring({"lm": done("lm"), "sft": done("sft"), "vision": INTERRUPTED})
    assert trained == [("vision", Resume.auto)], "an interrupted stage goes on"
    assert "sft is done: " in printed and "(sftsftsftsft)" in printed


def test_a_stale_stage_starts_anew_and_says_why(bring: Bring) -> None:
    trained, printed = bring({"lm": done("lm"), "sft": STALE, "vision": MISSING}, may_replace=True)
    assert trained == [("sft", Resume.overwrite), ("vision", Resume.auto)]
    assert "sft runs: recipe: seed: 0 -> 7; data: a -> b\n" in printed


def test_nothing_is_replaced_without_leave(bring: Bring, tmp_path: Path) -> None:
    with pytest.raises(ResumeError) as caught:
        bring({"lm": done("lm"), "sft": STALE, "vision": MISSING}, fails="lm")
    told = str(caught.value)
    assert f"found 1 to be replaced:\n  {tmp_path}/sft/demo: recipe: seed: 0 -> 7; data: a -> b\n" in told
    assert "add --yes (the old runs are set aside, not deleted)" in told


def test_what_another_process_has_trained_since_is_not_replaced_either(bring: Bring) -> None:
    class Changing(dict[str, StageStatus]):
        def __getitem__(self, stage: str) -> StageStatus:
            asked.append(stage)
            return STALE if asked.count("vision") == 2 and stage == "vision" else super().__getitem__(stage)

    asked: list[str] = []
    statuses = Changing({"lm": done("lm"), "sft": done("sft"), "vision": MISSING})
    with pytest.raises(ResumeError, match="found 1 to be replaced"):
        bring(statuses)


def test_a_stage_that_fails_stops_those_behind_it(bring: Bring) -> None:
    trained, printed = bring(dict.fromkeys(PARENTS, MISSING), fails="sft")
    assert trained == [("lm", Resume.auto)] and "artifacts" not in printed


def test_a_curriculum_without_a_parent_trains_nothing() -> None:
    with pytest.raises(ConfigError, match="found `sft` without its parent `lm`"):
        run_curriculum(["sft"], lambda stage: Config(stage=stage, parents=["lm"]), Console(quiet=True))
