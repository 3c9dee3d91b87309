"""The order of stages, from who needs whom."""

from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

from phi4train.errors import ConfigError


def order_stages(stages: Sequence[str], parents: Mapping[str, Sequence[str]]) -> list[str]:
    """`stages` with every parent before its children; otherwise in the order given.

    Raises:
        ConfigError: a parent is not among the stages, or stages need each other in a circle.
    """
    problems = [
        f"a curriculum must hold the parents of its stages · found `{stage}` without its parent `{parent}` · "
        f"add `{parent}` to `stages`"
        for stage in stages
        for parent in parents[stage]
        if parent not in stages
    ]
    if problems:
        raise ConfigError(problems)
    try:
        TopologicalSorter({stage: parents[stage] for stage in stages}).prepare()
    except CycleError as error:
        circle = " -> ".join(error.args[1])
        raise ConfigError(
            f"stages must not need each other in a circle · found {circle} · "
            "change the `parents` of one recipe"
        ) from error
    ordered: list[str] = []
    while len(ordered) < len(set(stages)):
        ordered.append(next(s for s in stages if s not in ordered and all(p in ordered for p in parents[s])))
    return ordered
