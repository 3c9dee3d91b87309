"""`phi4train data stats` counts the mixture for the steps of the recipe."""

from argparse import ArgumentParser

import pytest

from phi4train.cli.data.stats import run


def test_counts_are_those_of_the_mixture_and_the_recipes_steps(
    own_words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    run(ArgumentParser(), [*own_words, "budget.tokens=null", "budget.max_steps=77"])
    printed = capsys.readouterr().out
    assert printed.startswith("manifest mixture, 77 steps\n")
    assert "modes: text 9\ntasks: lm 9\n" in printed
