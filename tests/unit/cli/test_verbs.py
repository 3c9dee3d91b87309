"""The tables of verbs: each has a module that runs it, and a line that help can show."""

from importlib import import_module
from inspect import signature

import pytest

from phi4train.cli.data.verbs import DATA_VERBS
from phi4train.cli.verbs import VERBS
from phi4train.cli.words import Verb

BOTH = {**VERBS, **{f"data {name}": verb for name, verb in DATA_VERBS.items()}}


@pytest.mark.parametrize("name", BOTH)
def test_a_verb_has_a_module_that_runs_it_and_a_line_for_help(name: str) -> None:
    verb: Verb = BOTH[name]
    assert list(signature(import_module(verb.module).run).parameters) == ["parser", "words"]
    assert verb.summary.endswith(".") and "\n" not in verb.summary and len(verb.summary) < 80
    assert verb.example


def test_a_verbs_module_has_the_verbs_name() -> None:
    modules = {name: verb.module.removeprefix("phi4train.cli.") for name, verb in BOTH.items()}
    assert modules == {name: name.replace(" ", ".") if name != "data" else "data.verbs" for name in BOTH}


def test_no_verb_reads_as_an_override_or_a_flag() -> None:
    assert all(word.isidentifier() for name in BOTH for word in name.split())
    assert "train" not in VERBS, "it is the verb when none is given"
