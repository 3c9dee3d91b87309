"""Learning rate as a pure function of the step, and the law that gives its peak."""

import math
from dataclasses import dataclass

from phi4train.config.schema import Config, ScheduleKind


@dataclass(frozen=True)
class Schedule:
    """Linear warmup to `peak_lr`, then one of four shapes down to `min_lr_fraction` of it at `max_steps`.

    Args:
        peak_lr: largest learning rate.
        max_steps: optimizer steps of the whole stage.
        kind: wsd, cosine, linear or constant.
        warmup_steps: steps of warmup; step 0 already moves (lr = peak / warmup_steps).
        decay_fraction: share of all steps in which wsd decays, at the end.
        min_lr_fraction: learning rate at the end, as a share of the peak.
    """

    peak_lr: float
    max_steps: int
    kind: ScheduleKind
    warmup_steps: int
    decay_fraction: float
    min_lr_fraction: float

    def lr(self, step: int) -> float:
        """Learning rate of the optimizer step with index `step`, counted from 0."""
        if step < self.warmup_steps:
            return self.peak_lr * (step + 1) / self.warmup_steps
        return self.peak_lr * (self.min_lr_fraction + (1 - self.min_lr_fraction) * self._decay(step))

    def _decay(self, step: int) -> float:
        """What is left of the way from the minimum to the peak, 1 to 0."""
        start = self.warmup_steps
        if self.kind is ScheduleKind.constant:
            return 1.0
        if self.kind is ScheduleKind.wsd:
            start = max(start, self.max_steps - math.ceil(self.decay_fraction * self.max_steps))
        progress = min(1.0, max(0.0, (step - start) / max(1, self.max_steps - start)))
        if self.kind is ScheduleKind.cosine:
            return 0.5 * (1 + math.cos(math.pi * progress))
        return 1 - progress


def lr_law(B: float, exponent: float, tokens: float, unit_tokens: float) -> float:
    """Peak learning rate LR*(D) = B * (tokens / unit_tokens)^-exponent.

    Source: Bjorck et al., arXiv 2409.19913; used by the Phi-4-Mini report, section 2.1, with exponent 0.32.
    """
    return float(B * (tokens / unit_tokens) ** -exponent)


def token_budget(config: Config) -> int:
    """Tokens that the whole stage trains on: `budget.tokens`, or steps times tokens of a step."""
    budget = config.budget
    if budget.tokens is not None:
        return budget.tokens
    assert budget.max_steps is not None and budget.global_batch_tokens is not None
    return budget.max_steps * budget.global_batch_tokens


def build_schedule(config: Config) -> Schedule:
    """The learning rate by step; LR*(D) gives its peak when the recipe names the law."""
    budget, optimizer, schedule = config.budget, config.optimizer, config.schedule
    max_steps = budget.max_steps
    if max_steps is None:
        assert budget.tokens is not None and budget.global_batch_tokens is not None
        max_steps = math.ceil(budget.tokens / budget.global_batch_tokens)
    peak_lr = optimizer.lr
    if optimizer.lr_law is not None:
        law = optimizer.lr_law
        peak_lr = lr_law(law.B, law.exponent, token_budget(config), law.unit_tokens)
    assert peak_lr is not None
    return Schedule(
        peak_lr=peak_lr,
        max_steps=max_steps,
        kind=schedule.kind,
        warmup_steps=schedule.warmup_steps or round(schedule.warmup_fraction * max_steps),
        decay_fraction=schedule.decay_fraction,
        min_lr_fraction=schedule.min_lr_fraction,
    )
