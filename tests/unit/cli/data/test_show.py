"""`phi4train data show` prints the sample of the number that is asked for."""

from argparse import ArgumentParser

import pytest

from phi4train.cli.data.show import run
from phi4train.errors import ManifestError


@pytest.mark.parametrize(("flags", "key"), [([], "t0000"), (["--number", "8"], "t0008")])
def test_a_sample_is_shown_by_its_number(
    flags: list[str], key: str, own_words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    run(ArgumentParser(), [*flags, *own_words])
    assert capsys.readouterr().out.startswith(f"key: text-000000.tar/{key}\nmode: text   task: lm\n")


def test_a_number_beyond_the_mixture_is_refused(own_words: list[str]) -> None:
    with pytest.raises(ManifestError, match="a sample's number must be below 9 · found 9"):
        run(ArgumentParser(), [*own_words, "--number", "9"])
