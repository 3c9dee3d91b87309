"""`phi4train data index` indexes what is stale, and everything when asked."""

import shutil
from argparse import ArgumentParser
from pathlib import Path

import pytest

from phi4train.cli.data.index import run


def test_only_stale_shards_are_indexed_and_named(
    own_words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(ArgumentParser(), own_words)
    assert capsys.readouterr().out == f"{own_words[0]}: 0 shards indexed, the others were up to date\n"
    shutil.rmtree(tmp_path / "text-000000.tar.idx")
    run(ArgumentParser(), own_words)
    assert "1 shards indexed, the others were up to date\ntext-000000.tar\n" in capsys.readouterr().out
    assert (tmp_path / "text-000000.tar.idx" / "index.json").is_file()


def test_all_are_indexed_anew_when_asked(
    own_words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index = tmp_path / "text-000000.tar.idx"
    before = index.stat().st_ino
    run(ArgumentParser(), [*own_words, "--rebuild"])
    assert "1 shards indexed" in capsys.readouterr().out
    assert index.stat().st_ino != before
