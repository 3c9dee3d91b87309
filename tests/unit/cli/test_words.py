"""A verb gets the words behind it, and its help ends with an example."""

import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from phi4train.cli.words import Verb, add_overrides, run_verb

VERB = Verb("Does something.", "verb_for_this_test", "stage=x --twice")


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], bool]]:
    """Words that the verb got."""
    seen: list[tuple[list[str], bool]] = []

    def run(parser: ArgumentParser, words: Sequence[str]) -> None:
        add_overrides(parser)
        parser.add_argument("--twice", action="store_true")
        options = parser.parse_intermixed_args(words)
        seen.append((options.overrides, options.twice))

    monkeypatch.setitem(sys.modules, VERB.module, SimpleNamespace(run=run))
    return seen


def test_a_verb_gets_the_words_behind_it_with_flags_anywhere(ran: list[tuple[list[str], bool]]) -> None:
    run_verb("something", VERB, ["a=1", "--twice", "b=2"])
    assert ran == [(["a=1", "b=2"], True)]


def test_its_help_says_what_it_does_and_ends_with_the_example(
    ran: list[tuple[list[str], bool]], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        run_verb("something", VERB, ["--help"])
    text = capsys.readouterr().out
    assert caught.value.code == 0 and ran == []
    assert text.startswith("usage: phi4train something ") and VERB.summary in text
    assert text.rstrip().endswith("example:\n  phi4train something stage=x --twice")


def test_nothing_is_imported_before_the_verb_is_typed() -> None:
    with pytest.raises(ModuleNotFoundError):
        run_verb("nothing", Verb("", "no_such_module_anywhere", ""), [])


def test_what_else_may_be_said_is_part_of_the_help() -> None:
    parser = ArgumentParser()
    add_overrides(parser, also="names of manifests")
    assert "or names of manifests" in " ".join(parser.format_help().split())
    options = parser.parse_intermixed_args(["a", "--config-dir", "own"])
    assert (options.overrides, options.config_dir) == (["a"], Path("own"))
