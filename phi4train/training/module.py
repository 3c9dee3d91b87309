"""The LightningModule: one call of `training_step` is one optimizer step over a whole StepBatch."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import lightning as L
import torch
from torch import Tensor

from phi4train.batch import IGNORE_INDEX, Batch
from phi4train.data.batches.loader import StepBatch
from phi4train.errors import NonFiniteError
from phi4train.model.phi4 import Phi4Model
from phi4train.objectives.next_token import linear_cross_entropy
from phi4train.run.schedule import Schedule
from phi4train.training.auxiliary import AuxiliaryLoss, AuxiliarySteps
from phi4train.training.optimizer import AdamWSettings, build_adamw, trainable_tensors


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


class StageModule(L.LightningModule):
    """Trains a built and frozen model.

    Args:
        model: its trainable set is final: nothing here freezes or thaws.
        trainable: components whose tensors the optimizer owns.
        adamw: optimizer settings.
        schedule: learning rate by step.
        gradient_clip_val: largest global gradient norm; 0: no clipping.
        max_bad_steps: steps in a row with a non-finite loss or gradient before the run stops.
        start_step: index of the first step of this process.
        auxiliaries: losses of the embedded tokens that are added to the loss that is minimised.
    """

    def __init__(
        self,
        model: Phi4Model,
        trainable: Collection[str],
        adamw: AdamWSettings,
        schedule: Schedule,
        gradient_clip_val: float,
        max_bad_steps: int,
        start_step: int,
        auxiliaries: Sequence[AuxiliaryLoss] = (),
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.model = model
        self.named_trainable = trainable_tensors(model, trainable)
        self.optimizer = build_adamw(model, trainable, adamw)
        self.schedule = schedule
        self.gradient_clip_val = gradient_clip_val
        self.max_bad_steps = max_bad_steps
        self.next_step = start_step
        self.auxiliaries = auxiliaries
        self.num_bad_in_a_row = 0
        self.result: StepResult | None = None

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The optimizer that was built with the module."""
        return self.optimizer

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
        num_targets = sum(micro_batch.num_targets for micro_batch in batch.micro_batches)
        lr = self.schedule.lr(batch.step)
        for group in self.optimizer.param_groups:
            group["lr"] = lr * group["lr_multiplier"]
        self.optimizer.zero_grad(set_to_none=True)
        loss_sum, task_losses, auxiliary_losses = self._accumulate(batch.micro_batches, num_targets)
        norms = self._component_grad_norms()
        grad_norm = sum(norm**2 for norm in norms.values()) ** 0.5
        loss = loss_sum / num_targets if num_targets else math.nan
        is_finite = torch.isfinite(torch.tensor([loss, grad_norm])).all().item()
        if num_targets and is_finite:
            self._step(grad_norm)
            self.num_bad_in_a_row = 0
        elif num_targets:
            self._count_bad_step(batch, loss, grad_norm)
        self.next_step += 1
        self.result = StepResult(
            step=batch.step,
            loss=loss,
            lr=lr,
            grad_norm=grad_norm,
            is_skipped=not (num_targets and is_finite),
            num_targets=num_targets,
            task_losses=task_losses,
            component_grad_norms=norms,
            auxiliary_losses=auxiliary_losses,
        )

    def _accumulate(
        self, micro_batches: Sequence[Batch], num_targets: int
    ) -> tuple[float, dict[str, tuple[float, int]], dict[str, float]]:
        """Adds the gradient of every micro-batch; returns the loss sum, sums by task, auxiliary means."""
        losses: list[Tensor] = []
        auxiliary = AuxiliarySteps(self.auxiliaries, micro_batches)
        for number, batch in enumerate(micro_batches):
            embedded_TD = self.model.embed(batch)
            hidden_TD = self.model.decode_batch(embedded_TD, batch)
            loss_sum, losses_N = linear_cross_entropy(hidden_TD, self.model.head_weight, batch.labels_T)
            losses.append(losses_N)
            loss = loss_sum / num_targets if num_targets else loss_sum
            for share in auxiliary.shares(number, self.model, embedded_TD):
                loss = loss + share
            if num_targets and loss.requires_grad:
                self.manual_backward(loss)
        by_task: dict[str, tuple[float, int]] = {}
        for batch, losses_N in zip(micro_batches, losses, strict=True):
            for task, (task_loss, count) in loss_per_task(batch, losses_N).items():
                known_loss, known_count = by_task.get(task, (0.0, 0))
                by_task[task] = (known_loss + task_loss, known_count + count)
        return sum(task_loss for task_loss, _ in by_task.values()), by_task, auxiliary.means()

    def _component_grad_norms(self) -> dict[str, float]:
        """L2 norm of the gradient of each trainable component."""
        named = [(name, p.grad) for name, p in self.named_trainable.items() if p.grad is not None]
        if not named:
            return {}
        norms = torch.stack(torch._foreach_norm([grad for _, grad in named])).double().tolist()
        squares: dict[str, float] = {}
        for (name, _), norm in zip(named, norms, strict=True):
            component = name.split("/", 1)[0]
            squares[component] = squares.get(component, 0.0) + norm**2
        return {component: square**0.5 for component, square in squares.items()}

    def _step(self, grad_norm: float) -> None:
        """Clips to `gradient_clip_val` and steps; tensors without a gradient stay as they are."""
        if 0 < self.gradient_clip_val < grad_norm:
            gradients = [p.grad for p in self.named_trainable.values() if p.grad is not None]
            torch._foreach_mul_(gradients, self.gradient_clip_val / grad_norm)
        self.optimizers().step()  # type: ignore[union-attr]

    def _count_bad_step(self, batch: StepBatch, loss: float, grad_norm: float) -> None:
        self.num_bad_in_a_row += 1
        if self.num_bad_in_a_row >= self.max_bad_steps:
            keys = [key for micro_batch in batch.micro_batches for key in micro_batch.keys]
            raise NonFiniteError(
                f"loss and gradient must be finite: {self.num_bad_in_a_row} steps in a row were not "
                f"(step {batch.step}: loss {loss}, gradient norm {grad_norm}; safety.max_bad_steps="
                f"{self.max_bad_steps}). Samples of the last one: {', '.join(keys[:20])}"
                f"{' …' if len(keys) > 20 else ''}. Lower optimizer.lr, or look at them with "
                "`phi4train data show`; the last checkpoint is untouched."
            )


def loss_per_task(batch: Batch, losses_N: Tensor) -> dict[str, tuple[float, int]]:
    """Sum of losses and number of targets by task, from the per-target losses of a batch."""
    tasks = sorted(set(batch.tasks))
    if len(tasks) == 1:
        return {tasks[0]: (losses_N.sum().item(), losses_N.numel())} if losses_N.numel() else {}
    codes_S = torch.tensor([tasks.index(task) for task in batch.tasks], device=losses_N.device)
    lengths_S = torch.tensor(batch.sample_lengths, device=losses_N.device)
    codes_N = codes_S.repeat_interleave(lengths_S)[batch.labels_T != IGNORE_INDEX]
    sums = torch.zeros(len(tasks), dtype=losses_N.dtype, device=losses_N.device)
    sums.index_add_(0, codes_N, losses_N)
    counts = codes_N.bincount(minlength=len(tasks))
    return {
        task: (loss, count)
        for task, loss, count in zip(tasks, sums.tolist(), counts.tolist(), strict=True)
        if count
    }
