"""Training from the command line: what is composed, and that the process is left as it was."""

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from phi4train.cli import train
from phi4train.config.schema import Config
from phi4train.errors import CheckpointError, ConfigError, SweepError


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[Config]:
    """Configurations that would have been trained; the second one fails."""
    configs: list[Config] = []

    def train_stage(config: Config, console: object) -> None:
        if len(configs) == 1:
            raise CheckpointError("no space")
        configs.append(config)

    monkeypatch.setitem(sys.modules, "phi4train.training.stage", SimpleNamespace(train_stage=train_stage))
    return configs


@pytest.mark.parametrize("full_error", [None, "0"])
@pytest.mark.parametrize(
    "words", [["stage=lm_sft"], ["stage=lm_sft", "seed=x"], ["stage=lm_stf"]], ids=" ".join
)
def test_hydra_leaves_argv_and_environment_as_they_were(
    words: list[str], full_error: str | None, trained: list[Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", before := ["phi4train", "anything"])
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    if full_error is not None:
        monkeypatch.setenv("HYDRA_FULL_ERROR", full_error)
    try:
        train.run(words)
    except ConfigError:
        assert trained == []
    assert sys.argv is before and os.environ.get("HYDRA_FULL_ERROR") == full_error


def test_trials_train_one_after_the_other_and_one_that_fails_is_named(
    trained: list[Config], monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.chdir(str(tmp_path))
    with pytest.raises(SweepError, match="found 1 of 2 that were not:\n  lm_pretrain/demo-seed-2: no space"):
        train.run(["-m", "stage=lm_pretrain", "scale=demo", "seed=1,2"])
    assert [config.seed for config in trained] == [1]


def test_problems_of_the_words_and_of_the_values_are_told_together(trained: list[Config]) -> None:
    with pytest.raises(ConfigError) as caught:
        train.run(["stage=lm_sft", "lrr=1", "schedule.decay_fraction=2"])
    told = "\n".join(caught.value.problems)
    assert "lrr must be a key" in told and "schedule.decay_fraction must be between 0 and 1" in told
    assert trained == []


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["-m", "--cfg", "job"], "--multirun and --cfg"),
        (["--cfg", "job", "--info"], "--cfg and --info"),
        (["--dry-run", "--cfg", "job"], "--dry-run and --cfg"),
        (["--resolve"], "it alone"),
        (["-p", "optimizer"], "it alone"),
    ],
)
def test_flags_that_do_not_go_together_are_told(words: list[str], found: str, trained: list[Config]) -> None:
    with pytest.raises(ConfigError, match=f"found {found} · "):
        train.run(["stage=lm_sft", *words])
    assert trained == []


def test_hydras_own_help_needs_no_stage_and_minds_none(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--hydra-help"], ["stage=lm_sft", "--hydra-help"]):
        with pytest.raises(SystemExit) as caught:
            train.run(words)
        assert caught.value.code == 0 and "Hydra" in capsys.readouterr().out


def test_a_completion_that_is_asked_for_halfway_is_an_error_of_one_line() -> None:
    with pytest.raises(ConfigError, match="Expecting one subcommand"):
        train.run(["-sc"])


@pytest.mark.parametrize(
    "words",
    [
        ["--experimental-rerun", "x.pickle"],
        ["--experimental-r=x"],
        ["-cp", "/tmp"],
        ["--config-name", "mine"],
        ["--hydra-help", "-cn=x"],
    ],
)
def test_flags_that_unpickle_or_compose_from_elsewhere_are_refused(
    words: list[str], trained: list[Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "_run_hydra", lambda *_: pytest.fail("Hydra must not see them"))
    with pytest.raises(
        ConfigError, match=r"must compose from recipes and words · found --[a-z]+-[a-z]+ · remove it"
    ):
        train.run(["stage=lm_sft", *words])


@pytest.mark.parametrize("more", [[], ["-m", "seed=1,2"], ["--hydra-help"], ["--cfg", "job"]], ids=" ".join)
def test_a_recipe_of_the_user_runs_no_code(more: list[str], tmp_path: Path, trained: list[Config]) -> None:
    (tmp_path / "stage").mkdir()
    (tmp_path / "source").write_text("x")
    (tmp_path / "stage" / "own.yaml").write_text(
        "# @package _global_\ndefaults: [/stage/lm_sft@_global_]\nhydra:\n  callbacks:\n    a:\n"
        f"      _target_: shutil.copy\n      src: {tmp_path}/source\n      dst: {tmp_path}/copied\n"
    )
    with pytest.raises(
        ConfigError, match=r"found the key 'hydra' in .*own.yaml · remove it; .* imports may run code"
    ):
        train.run(["stage=own", "--config-dir", str(tmp_path), *more])
    assert not (tmp_path / "copied").exists() and trained == []
