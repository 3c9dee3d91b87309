"""What a stage tells the user before it starts: budget, learning rate, and what is frozen."""

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from phi4train.config.schema import Config
from phi4train.plain_text import PlainTable, escaped
from phi4train.run.schedule import Schedule, token_budget
from phi4train.training.freezing import ComponentState


def print_budget(console: Console, config: Config, schedule: Schedule) -> None:
    """Steps, step size, learning rate and, where a law gave it, the law."""
    budget, optimizer = config.budget, config.optimizer
    size = (
        f"{budget.global_batch_tokens:,} tokens"
        if budget.global_batch_tokens
        else f"{budget.global_batch_samples:,} samples"
    )
    console.print(f"\n[bold]{escaped(config.stage)}[/]: {escaped(config.description)}", emoji=False)
    console.print(
        f"{schedule.max_steps:,} steps of {size}; {schedule.kind.name} to and from {schedule.peak_lr:.3g}"
    )
    if optimizer.lr_law is not None:
        law = optimizer.lr_law
        console.print(
            f"LR*(D) = B·D^-{law.exponent:g} = {schedule.peak_lr:.4g}  with B = {law.B:g} and "
            f"D = {token_budget(config):,} tokens in units of {law.unit_tokens:g}"
        )


def print_freeze_report(console: Console, report: Sequence[ComponentState]) -> None:
    """A line a component: how much of it trains and where its values come from."""
    table = PlainTable(title="components", title_justify="left")
    table.add_column("component")
    table.add_column("parameters", justify="right")
    table.add_column("trainable", justify="right")
    table.add_column("state")
    table.add_column("values from")
    for line in report:
        state = Text("trainable", style="green") if line.num_trainable else "frozen"
        table.add_row(
            line.component, f"{line.num_parameters:,}", f"{line.num_trainable:,}", state, line.origin
        )
    console.print(table)
