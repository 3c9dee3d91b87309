"""The words after `evaluate`: what is measured, of which artifact, and how much is shown."""

import sys
from argparse import ArgumentParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from phi4train.cli.evaluate import run
from phi4train.errors import ConfigError

WORDS = ["stage=lm_sft", "scale=demo"]


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, dict[str, Any]]]:
    """Name, stage and options of what would have been called."""
    calls: list[tuple[str, str, dict[str, Any]]] = []

    def measure(name: str) -> Any:
        return lambda config, console, **options: calls.append((name, config.stage, options))

    for module, name in (
        ("evaluation.stage", "evaluate_stage"),
        ("curriculum.regression", "measure_regression"),
    ):
        fake = SimpleNamespace(**{name: measure(name)})
        monkeypatch.setitem(sys.modules, f"phi4train.{module}", fake)
    return calls


def test_a_stages_own_artifact_is_measured_and_nothing_shown_by_default(called: list[Any]) -> None:
    run(ArgumentParser(), WORDS)
    assert called == [("evaluate_stage", "lm_sft", {"artifact": None, "num_shown": 0})]


def test_another_artifact_and_answers_may_be_asked_for_anywhere(called: list[Any]) -> None:
    run(ArgumentParser(), ["--show", "3", WORDS[0], "--artifact", "x/artifact", WORDS[1]])
    assert called == [("evaluate_stage", "lm_sft", {"artifact": Path("x/artifact"), "num_shown": 3})]


def test_earlier_stages_are_measured_instead(called: list[Any]) -> None:
    run(ArgumentParser(), [*WORDS, "--regression", "--artifact", "x"])
    assert called == [("measure_regression", "lm_sft", {"artifact": Path("x")})]


@pytest.mark.parametrize("words", [["--show", "many"], ["--show", "1", "--regression"]])
def test_flags_that_make_no_sense_are_refused(words: list[str], called: list[Any]) -> None:
    with pytest.raises(SystemExit) as caught:
        run(ArgumentParser(), [*WORDS, *words])
    assert caught.value.code == 2 and called == []


def test_a_mistake_in_the_configuration_is_told_before_anything_is_opened(called: list[Any]) -> None:
    with pytest.raises(ConfigError, match="seed must be a whole number"):
        run(ArgumentParser(), [*WORDS, "seed=x"])
    assert called == []
