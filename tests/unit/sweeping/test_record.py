"""multirun.yaml says of every trial what became of it."""

from pathlib import Path

import yaml

from phi4train.config.schema import Config, RunPathsConfig
from phi4train.config.trials import Trial
from phi4train.sweeping.record import State, SweepRecord

TRIALS = [
    Trial(("seed=1",), Config(stage="lm", run=RunPathsConfig(name="a"))),
    Trial(("seed=x",), None, ("seed must be a number\n · found 'x'", "and more")),
]


def test_the_file_tells_each_trial_its_state_and_the_cause_in_one_line(tmp_path: Path) -> None:
    record = SweepRecord(tmp_path / "runs" / "multirun.yaml", TRIALS)
    record.write()
    assert yaml.safe_load(record.path.read_text()) == {
        "trials": [
            {"trial": "lm/a", "settings": ["seed=1"], "state": "waiting"},
            {
                "trial": "seed=x",
                "settings": ["seed=x"],
                "state": "failed",
                "cause": "seed must be a number · found 'x'; and more",
            },
        ]
    }


def test_every_change_is_on_disk_and_failures_are_listed(tmp_path: Path) -> None:
    record = SweepRecord(tmp_path / "multirun.yaml", TRIALS)
    record.set(0, State.failed, "no space")
    assert next((trial.name, cause) for trial, cause in record.failed()) == ("lm/a", "no space")
    record.set(0, State.done)
    assert yaml.safe_load(record.path.read_text())["trials"][0]["state"] == "done"
    assert [trial.name for trial, _ in record.failed()] == ["seed=x"]
