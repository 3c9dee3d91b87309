"""The LightningModule: one call of `training_step` is one optimizer step over a whole StepBatch."""

import hashlib
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import lightning as L
import torch

from phi4train.batch import placeholder_batch
from phi4train.data.batches.loader import StepBatch
from phi4train.errors import NonFiniteError
from phi4train.model.phi4 import Phi4Model
from phi4train.ranks import Ranks
from phi4train.run.schedule import Schedule
from phi4train.training.gradients.gradients import Gradients
from phi4train.training.micro_batch import MicroBatchLoss, StepLosses


@dataclass(frozen=True)
class StepResult:
    """What one optimizer step did; sums are over the whole global batch, the loss without targets is NaN."""

    step: int
    loss: float
    lr: float
    grad_norm: float
    is_skipped: bool
    num_targets: int
    task_losses: Mapping[str, tuple[float, int]] = field(default_factory=dict)
    """Sum of losses and number of targets by task."""
    component_grad_norms: Mapping[str, float] = field(default_factory=dict)
    auxiliary_losses: Mapping[str, float] = field(default_factory=dict)
    """Mean per target of each auxiliary loss that has targets, without its weight. Not part of `loss`."""
    measures: Mapping[str, float] = field(default_factory=dict)
    """Mean per target of whatever else the losses told."""


class StageModule(L.LightningModule):
    """Trains a built and frozen model.

    Args:
        micro_batch: model and losses; the trainable set is final: nothing here freezes or thaws.
        gradients: of the trainable tensors.
        ranks: the processes that share each step.
        schedule: learning rate by step.
        gradient_clip_val: largest global gradient norm; 0: no clipping.
        max_bad_steps: steps in a row with a non-finite loss or gradient before the run stops.
        seed: of dropout.
        start_step: index of the first step of this process.
    """

    def __init__(
        self,
        micro_batch: MicroBatchLoss,
        gradients: Gradients,
        ranks: Ranks,
        schedule: Schedule,
        gradient_clip_val: float,
        max_bad_steps: int,
        seed: int,
        start_step: int,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.micro_batch = micro_batch
        self.gradients = gradients
        self.ranks = ranks
        self.schedule = schedule
        self.gradient_clip_val = gradient_clip_val
        self.max_bad_steps = max_bad_steps
        self.seed = seed
        self.next_step = start_step
        self.num_bad_in_a_row = 0
        self.result: StepResult | None = None

    @property
    def model(self) -> Phi4Model:
        """The model that is trained."""
        return self.micro_batch.model

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The optimizer that the gradients feed; Lightning only has to know it."""
        return self.gradients.optimizer

    def transfer_batch_to_device(
        self, batch: StepBatch, device: torch.device, dataloader_idx: int
    ) -> StepBatch:
        """Moves every micro-batch; CPU runs get the batch as it is."""
        if device.type == "cpu":
            return batch
        return replace(batch, micro_batches=[micro_batch.to(device) for micro_batch in batch.micro_batches])

    def training_step(self, batch: StepBatch, batch_idx: int) -> None:
        """Accumulates sum-of-losses / number-of-targets over the micro-batches and steps once.

        Raises:
            NonFiniteError: `max_bad_steps` steps in a row were not finite.
        """
        assert batch.step == self.next_step, f"step {batch.step} came instead of {self.next_step}"
        losses = self._accumulate(batch)
        num_targets, lr = losses.counts[0], self.schedule.lr(batch.step)
        norms = self.gradients.finish()
        grad_norm = sum(norm**2 for norm in norms.values()) ** 0.5
        totals = losses.totals()
        loss = totals.objective_sum / num_targets if num_targets else math.nan
        is_finite = math.isfinite(loss) and math.isfinite(grad_norm)
        if num_targets and is_finite:
            self.gradients.step(lr, self._clipping(grad_norm))
            self.num_bad_in_a_row = 0
        else:
            self.gradients.skip()
            self.num_bad_in_a_row += num_targets > 0
        self.next_step += 1
        self.result = StepResult(
            step=batch.step,
            loss=loss,
            lr=lr,
            grad_norm=grad_norm,
            is_skipped=not (num_targets and is_finite),
            num_targets=num_targets,
            task_losses=totals.by_task,
            component_grad_norms=norms,
            auxiliary_losses=totals.auxiliary_means,
            measures=totals.measures,
        )
        if self.num_bad_in_a_row >= self.max_bad_steps:
            raise self._non_finite(batch, loss, grad_norm)

    def _accumulate(self, batch: StepBatch) -> StepLosses:
        """Adds the gradient of every micro-batch; returns what their losses were."""
        micro_batches, virtual_ranks = list(batch.micro_batches), list(batch.virtual_ranks)
        if self.gradients.needs_lockstep:
            most = max(self.ranks.gather(len(micro_batches)))
            missing, last = most - len(micro_batches), self.gradients.virtual.own[-1]
            micro_batches += [placeholder_batch(self.model.head_weight.device)] * missing
            virtual_ranks += [last] * missing
        losses = StepLosses(self.micro_batch.losses, micro_batches, self.ranks)
        self.gradients.zero()
        numbers: Counter[int] = Counter()
        for micro_batch, virtual_rank, selections in zip(
            micro_batches, virtual_ranks, losses.selections, strict=True
        ):
            _seed_random_numbers(self.seed, batch.step, virtual_rank, numbers[virtual_rank])
            numbers[virtual_rank] += 1
            share = self.gradients.share(micro_batch, selections, losses.counts)
            losses.add(share)
            if losses.counts[0] and share.loss.requires_grad:
                self.gradients.backward(share.loss, virtual_rank)
        return losses

    def _clipping(self, grad_norm: float) -> float:
        """What clipping to `gradient_clip_val` leaves of the gradients."""
        is_clipped = 0 < self.gradient_clip_val < grad_norm
        return self.gradient_clip_val / grad_norm if is_clipped else 1.0

    def _non_finite(self, batch: StepBatch, loss: float, grad_norm: float) -> NonFiniteError:
        own = [key for micro_batch in batch.micro_batches for key in micro_batch.keys]
        keys = [key for keys in self.ranks.gather(own) for key in keys]
        return NonFiniteError(
            f"loss and gradient must be finite, but for fewer than safety.max_bad_steps={self.max_bad_steps} "
            f"steps in a row · found loss {loss} and gradient norm {grad_norm} at step {batch.step}, of "
            f"{', '.join(keys[:20])}{' …' if len(keys) > 20 else ''} · lower optimizer.lr, or look at them "
            "with `phi4train data show`"
        )


def _seed_random_numbers(*place: int) -> None:
    """Makes dropout a function of its place: (seed, step, virtual rank, number), and of no earlier draw."""
    digest = hashlib.sha256(repr(place).encode()).digest()
    torch.manual_seed(int.from_bytes(digest[:8], "big", signed=True))
