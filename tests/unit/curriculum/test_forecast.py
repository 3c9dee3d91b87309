"""What a curriculum would do is known before it does anything."""

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from phi4train.config.schema import Config, Resume, RunPathsConfig
from phi4train.curriculum import forecast
from phi4train.curriculum.forecast import (
    Forecast,
    foresee_curriculum,
    ordered_configs,
    require_leave,
    tell_forecasts,
)
from phi4train.errors import ConfigError, ResumeError
from phi4train.run.opened import OpenedStage
from phi4train.run.outlook import Action, Outlook
from phi4train.run.paths import run_path
from phi4train.run.run_folder import RunFolder
from phi4train.run.status import StageStatus

PARENTS = {"lm": [], "sft": ["lm"], "vision": ["sft"], "speech": ["sft"], "both": ["vision", "speech"]}
NO_INPUTS: Any = SimpleNamespace(fingerprints=dict)
DONE = StageStatus(SimpleNamespace(lineage=SimpleNamespace(identity="0" * 64)), ())  # type: ignore[arg-type]
MISSING = StageStatus(None, ("it has no artifact yet",))
STALE = StageStatus(None, ("recipe: seed: 0 -> 7",), is_stale=True)
DAMAGED = StageStatus(None, ("the artifact must be complete",), is_stale=True, is_damaged=True)


def foresee(
    statuses: dict[str, StageStatus],
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    used: tuple[str, ...] = (),
    resume: Resume = Resume.auto,
) -> dict[str, Action]:
    """What would be done with each stage of PARENTS whose status is known."""

    class KnownStage(OpenedStage):
        def status(self) -> StageStatus:
            return statuses[self.config.stage]

    def look(config: Config) -> OpenedStage:
        return KnownStage(config, RunFolder(run_path(config, config.stage)), NO_INPUTS)

    monkeypatch.setattr(forecast, "look_at_stage", look)
    for stage in used:
        (root / stage / "demo" / "artifact").mkdir(parents=True)
    run = RunPathsConfig(root=str(root), name="demo")
    configs = [Config(stage=one, parents=PARENTS[one], run=run, resume=resume) for one in PARENTS]
    return {one.config.stage: one.outlook.action for one in foresee_curriculum(configs)}


def test_the_first_run_starts_every_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    actions = foresee({"lm": MISSING}, tmp_path, monkeypatch)
    assert actions == dict.fromkeys(PARENTS, Action.start)
    assert list(tmp_path.iterdir()) == []


def test_all_that_comes_from_a_stage_that_changes_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    statuses = {"lm": DONE, "sft": DONE, "vision": STALE, "speech": DONE}
    actions = foresee(statuses, tmp_path, monkeypatch, used=tuple(PARENTS))
    assert actions == {
        **{"lm": Action.nothing, "sft": Action.nothing, "speech": Action.nothing},
        **{"vision": Action.replace, "both": Action.replace},
    }


@pytest.mark.parametrize("status", [STALE, DAMAGED])
@pytest.mark.parametrize("resume", list(Resume))
def test_what_is_stale_is_replaced_and_what_is_done_is_left_alone_in_every_mode(
    status: StageStatus, resume: Resume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    actions = foresee({"lm": DONE, "sft": status}, tmp_path, monkeypatch, ("lm", "sft"), resume)
    assert (actions["lm"], actions["sft"]) == (Action.nothing, Action.replace)


def a_forecast(stage: str, action: Action) -> Forecast:
    config = Config(stage=stage, run=RunPathsConfig(root="runs", name="demo"))
    return Forecast(config, Outlook(action, ("seed: 0 -> 1", "data: a -> b")), None)


def test_leave_is_needed_for_what_is_replaced_and_for_nothing_else() -> None:
    asking = (Action.replace, Action.extend)
    require_leave([a_forecast("lm", action) for action in Action if action not in asking])
    with pytest.raises(ResumeError, match="found 1 to be replaced"):
        require_leave([a_forecast("lm", Action.extend)])
    with pytest.raises(ResumeError) as caught:
        require_leave([a_forecast("lm", Action.replace), a_forecast("sft", Action.replace)])
    assert "found 2 to be replaced:\n  runs/lm/demo: seed: 0 -> 1; data: a -> b\n  runs/sft/" in str(
        caught.value
    )


def test_every_stage_and_its_reasons_are_told() -> None:
    out = io.StringIO()
    forecasts = [a_forecast("lm", Action.nothing), a_forecast("sft", Action.replace)]
    tell_forecasts(forecasts, Console(file=out, width=200))
    assert out.getvalue() == (
        "lm is done: runs/lm/demo\n  because  seed: 0 -> 1\n  because  data: a -> b\n"
        "sft starts anew, and sets aside what is there: runs/sft/demo\n"
        "  because  seed: 0 -> 1\n  because  data: a -> b\n"
    )


def test_parents_come_before_their_children_and_must_be_there() -> None:
    found = ordered_configs(["sft", "lm"], lambda stage: Config(stage=stage, parents=PARENTS[stage]))
    assert [config.stage for config in found] == ["lm", "sft"]
    with pytest.raises(ConfigError, match="found `sft` without its parent `lm`"):
        ordered_configs(["sft"], lambda stage: Config(stage=stage, parents=PARENTS[stage]))
