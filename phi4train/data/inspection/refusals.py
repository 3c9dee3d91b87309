"""What a run would refuse a mixture for, found by the functions that the run itself asks."""

from collections.abc import Sequence

from phi4train.data.batches.bad_samples import BadSampleLimits
from phi4train.data.batches.loader import DataPlan, build_planner
from phi4train.data.inspection.check import SourceCheck
from phi4train.data.order.planner import BLOCK_STEPS, Planner
from phi4train.data.shards.mixture import Mixture
from phi4train.errors import ManifestError

_MAX_PLANNED_SAMPLES = 200_000


def find_refusals(
    mixture: Mixture, plan: DataPlan, max_steps: int, limits: BadSampleLimits, checks: Sequence[SourceCheck]
) -> list[str]:
    """Why a run of these numbers would not start, or would stop for its samples.

    Plans the run's first steps, and counts on as many broken samples as the check has met among those that
    it decoded.

    Args:
        checks: of the mixture's sources.
    """
    try:
        planner = build_planner(mixture, plan)
    except ManifestError as error:
        return [str(error)]
    bad = used = in_a_row = steps = 0
    for step in range(max_steps):
        planned = planner.plan(step)
        holes, items = len(planned.holes), len(planned.items.row)
        bad, used, in_a_row, steps = bad + holes, used + items, 0 if items else in_a_row + holes, step + 1
        broken = limits.broken_by(bad, used, in_a_row) if holes else None
        if broken is not None:
            return [_refusal(*broken, f"samples of its first {steps:,} steps")]
        if steps % BLOCK_STEPS == 0 and bad + used > _MAX_PLANNED_SAMPLES:
            break
    more = round(used * _broken_share(planner, checks))
    broken = limits.broken_by(bad + more, used - more, 0) if more else None
    return [] if broken is None else [_refusal(*broken, "samples, by those that were decoded")]


def _broken_share(planner: Planner, checks: Sequence[SourceCheck]) -> float:
    """Of the samples that a run draws, the share that would turn out to be broken."""
    return sum(
        share * check.num_broken / check.num_decoded
        for share, check in zip(planner.shares, checks, strict=True)
        if check.num_decoded
    )


def _refusal(limit: str, found: str, where: str) -> str:
    return f"{limit} · found {found} {where} · mend or remove what is left out, or raise the limit"
