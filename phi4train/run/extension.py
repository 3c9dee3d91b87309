"""Whether a run can be trained for another number of steps than it was begun with.

An extended run is to equal one that was as long from its start, to the last bit. Its batches are a function
of (seed, step), whatever the number of steps; its learning rate is not: `cosine`, `linear`, the decay of
`wsd`, `schedule.warmup_fraction` and `optimizer.lr_law` depend on it. So a run is extended where every step
that is done had the learning rate that the longer run would give it, as with `constant`, and refused
elsewhere: the honest way on is then a branch (`run.branch_from`) from a checkpoint before the decay.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from phi4train.config.convert import read_config
from phi4train.config.schema import Config
from phi4train.run.schedule import build_schedule

_LENGTH_KEYS = ("budget.max_steps", "budget.tokens")


def is_other_length(differences: Sequence[str]) -> bool:
    """Whether two recipes differ in nothing but the number of their steps.

    Args:
        differences: as `science_differences` tells them.
    """
    return bool(differences) and all(one.partition(":")[0] in _LENGTH_KEYS for one in differences)


def find_obstacle(
    recorded: Mapping[str, Any], config: Config, first_step: int, steps_done: int
) -> str | None:
    """Why a run cannot have the steps of `config` in place of those of its recorded recipe; None: it can.

    Args:
        recorded: the recipe that it was trained with so far; differs in its number of steps alone.
        config: the recipe of today.
        first_step: index of its first step; not 0 in a branch.
        steps_done: index of the step that it would go on with.
    """
    before, after = build_schedule(read_config(recorded)[0]), build_schedule(config)
    if after.max_steps < steps_done:
        return f"{steps_done:,} steps are done already"
    for step in range(first_step, steps_done):
        if before.lr(step) != after.lr(step):
            return (
                f"step {step:,} had the learning rate {before.lr(step):.4g} and would have had "
                f"{after.lr(step):.4g} in {after.max_steps:,} steps"
            )
    return None
