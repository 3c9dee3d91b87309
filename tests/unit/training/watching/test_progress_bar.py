"""The bar on a terminal, and lines elsewhere."""

import io
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from phi4train.training.module import StageModule, StepResult
from phi4train.training.watching.progress_bar import ProgressBar, duration, mean_numbers
from tests.unit.training.tiny_training import step, text_batch

TRAINER: Any = SimpleNamespace()
RESULT = StepResult(0, loss=1.5, lr=2e-4, grad_norm=1.0, is_skipped=False, num_targets=4)


@pytest.fixture
def shown(make_module: Callable[..., StageModule]) -> Callable[..., str]:
    """What is printed in a run."""

    def run(
        steps: range,
        max_steps: int = 6,
        every_n_steps: int = 2,
        is_terminal: bool = False,
        auxiliary: Mapping[str, float] | None = None,
    ) -> str:
        out, module = io.StringIO(), make_module()
        console = Console(file=out, force_terminal=is_terminal, width=150)
        bar = ProgressBar(console, steps.start, max_steps, every_n_steps)
        bar.on_train_start(TRAINER, module)
        for number in steps:
            module.result = replace(RESULT, step=number, auxiliary_losses=auxiliary or {})
            batch = step(text_batch((8,)), number=number)
            bar.on_train_batch_end(TRAINER, module, None, batch, 0)
        bar.teardown(TRAINER, module, "fit")
        return out.getvalue()

    return run


def test_without_a_terminal_a_line_comes_every_n_steps_and_at_the_end(shown: Callable[..., str]) -> None:
    lines = shown(range(5), max_steps=5).splitlines()
    assert [line.split("  ")[0] for line in lines] == ["step 2/5", "step 4/5", "step 5/5"]
    assert all("loss 1.500  lr 2.00e-04" in line and " tokens/s  0:00:00 elapsed, " in line for line in lines)
    assert lines[-1].endswith(" 0:00:00 left")


def test_a_resumed_run_counts_from_its_own_step(shown: Callable[..., str]) -> None:
    assert shown(range(4, 6)).startswith("step 6/6")


def test_auxiliary_losses_stand_beside_the_loss(shown: Callable[..., str]) -> None:
    assert "loss 1.500  ctc 0.250  lr" in shown(range(2), auxiliary={"ctc": 0.25})


def test_a_terminal_has_a_bar_and_no_lines(shown: Callable[..., str]) -> None:
    printed = shown(range(6), is_terminal=True)
    assert "6/6" in printed and "loss 1.500" in printed
    assert "tokens/s" not in printed
    assert printed.count("\x1b[?25l") == printed.count("\x1b[?25h") == 1, "the cursor is given back"


def test_an_error_gives_the_cursor_back_too() -> None:
    out = io.StringIO()
    bar = ProgressBar(Console(file=out, force_terminal=True), 0, 5, 1)
    bar.on_train_start(TRAINER, None)  # type: ignore[arg-type]
    bar.on_exception(TRAINER, None, RuntimeError())  # type: ignore[arg-type]
    assert "\x1b[?25h" in out.getvalue()


def test_no_bar_is_drawn_while_nothing_trains() -> None:
    out = io.StringIO()
    ProgressBar(Console(file=out, force_terminal=True), 0, 5, 1)
    assert out.getvalue() == ""


def test_a_line_tells_means_since_the_one_before(make_module: Callable[..., StageModule]) -> None:
    out, module = io.StringIO(), make_module()
    bar = ProgressBar(Console(file=out, width=150), 0, 5, 2)
    bar.on_train_start(TRAINER, module)
    for number, (loss, targets) in enumerate([(1.0, 3), (2.0, 1), (5.0, 1), (7.0, 1), (9.0, 1)]):
        module.result = replace(RESULT, step=number, loss=loss, num_targets=targets)
        bar.on_train_batch_end(TRAINER, module, None, step(text_batch((8,)), number=number), 0)
    assert [line.split("  ")[1] for line in out.getvalue().splitlines()] == [
        "loss 1.250",  # a mean over targets
        "loss 6.000",
        "loss 9.000",
    ]


def test_steps_without_a_number_are_left_out_and_told() -> None:
    bad = replace(RESULT, loss=float("nan"), is_skipped=True, lr=1e-4)
    assert mean_numbers([RESULT, bad]) == "loss 1.500  lr 1.00e-04  1 of 2 steps skipped"
    assert mean_numbers([bad]) == "loss nan  lr 1.00e-04  1 of 1 steps skipped"
    one, two = (replace(RESULT, auxiliary_losses=losses) for losses in ({"ctc": 2.0}, {}))
    assert mean_numbers([one, two]) == "loss 1.500  ctc 2.000  lr 2.00e-04"


def test_what_is_left_follows_from_the_steps_of_this_start(
    make_module: Callable[..., StageModule], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter([0.0, 100.0, 160.0])
    monkeypatch.setattr("phi4train.training.watching.progress_bar.time.perf_counter", lambda: next(now))
    out, module = io.StringIO(), make_module()
    bar = ProgressBar(Console(file=out, width=150), 10, 100, 2)
    bar.on_train_start(TRAINER, module)
    for number in (10, 11):
        module.result = replace(RESULT, step=number)
        bar.on_train_batch_end(TRAINER, module, None, step(text_batch((8,)), number=number), 0)
    assert out.getvalue().endswith("0:01:00 elapsed, 0:44:00 left\n")
    assert duration(3723.4) == "1:02:03"
