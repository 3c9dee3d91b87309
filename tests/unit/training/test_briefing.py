"""What a stage says before it starts."""

import io

from rich.console import Console

from phi4train.config.load import load_config
from phi4train.run.schedule import build_schedule
from phi4train.training.briefing import print_budget


def test_the_law_is_printed_with_its_result_its_constant_and_the_budget() -> None:
    config = load_config(["stage=lm_pretrain"])
    out = io.StringIO()
    print_budget(Console(file=out, width=200), config, build_schedule(config))
    law = "LR*(D) = B·D^-0.32 = 7.452e-05  with B = 0.0011375"
    assert f"{law} and D = 5,000,000,000,000 tokens in units of 1e+09" in out.getvalue()
