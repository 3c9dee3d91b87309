"""`phi4train data` lists its verbs and hands on the words behind one."""

import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from types import SimpleNamespace

import pytest

from phi4train.cli.data.verbs import DATA_VERBS, run


def test_a_verb_gets_the_words_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, list[str]]] = []

    def show(parser: ArgumentParser, words: Sequence[str]) -> None:
        seen.append((parser.prog, list(words)))

    monkeypatch.setitem(sys.modules, DATA_VERBS["show"].module, SimpleNamespace(run=show))
    run(ArgumentParser(), ["show", "demo_lm_sft", "--number", "3", "--help"])
    assert seen == [("phi4train data show", ["demo_lm_sft", "--number", "3", "--help"])]


@pytest.mark.parametrize("words", [[], ["sho"], ["--help", "show"]])
def test_all_verbs_are_told_where_none_is_named(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run(ArgumentParser(description="Data."), words)
    printed = "".join(capsys.readouterr())
    for name, verb in DATA_VERBS.items():
        assert name in printed and (verb.summary in " ".join(printed.split())) == ("--help" in words)
