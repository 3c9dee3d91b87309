"""Commands in messages: what is pasted arrives at Hydra as it was meant."""

import random
import shlex
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from phi4train.command_lines import command_line, override_word

AWKWARD = (
    *("d (1)", "a,b", "[a]", "{b}", "x=y", "a:b", "a b", "", " ", "ü", "#", "%", "~x", "a\nb", "a\\\n"),
    *("it's", '"', "''", "\\", "a\\", "\\'", "\\\\'", "null", "True", "nan", "1e5", "2026_01", "1.10"),
    *("$HOME", "${x}", "\\${x}", "\\\\${x}", "a${x", "$${x}", "s3://bucket/key?a=1&b=(2)"),
)


def as_hydra_reads(word: str) -> object:
    override = OverridesParser.create().parse_override(word)
    config = OmegaConf.create({})
    OmegaConf.update(config, "key", override.value())
    return OmegaConf.to_container(config, resolve=True)["key"]  # type: ignore[call-overload, index]


@pytest.mark.parametrize("text", AWKWARD)
def test_a_value_arrives_as_the_text_that_it_was(text: str) -> None:
    assert as_hydra_reads(override_word("run.data_root", text)) == text


def test_any_text_arrives_as_it_was() -> None:
    letters = random.Random(0)
    for _ in range(300):
        text = "".join(letters.choices("ab'\\\\$${}{}, =:()[]\"~ü\n#%*", k=6))
        assert as_hydra_reads(override_word("key", text)) == text


@pytest.mark.parametrize("text", ["runs", "/data/new-runs", "lm_sft", "./a.b/c", "../x", "x-1.5+y", "/a b 1"])
def test_what_needs_no_quotes_has_none(text: str) -> None:
    assert override_word("key", text) == f"key={text}"


def test_a_line_stays_readable() -> None:
    line = command_line(["phi4train"], {"stage": "lm_sft", "run.data_root": "d (1)"})
    assert line == """phi4train stage=lm_sft 'run.data_root="d (1)"'"""


@pytest.mark.parametrize("text", AWKWARD)
def test_a_shell_hands_on_every_word(text: str) -> None:
    line = command_line(["phi4train", "data", "index", text], {"run.data_root": text}, Path("own (2)"))
    assert shlex.split(line) == [
        *("phi4train", "data", "index", text, override_word("run.data_root", text)),
        *("--config-dir", "own (2)"),
    ]
