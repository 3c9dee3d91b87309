"""Perplexity of held-out targets: exp(sum of losses / number of targets), by task and over all."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from rich.table import Table
from torch import Tensor

from phi4train.batch import IGNORE_INDEX, Batch
from phi4train.evaluation.metrics.metric import ALL_TASKS, Form, Metric, Quantity
from phi4train.evaluation.metrics.ngrams import NGrams, target_pairs
from phi4train.evaluation.metrics.tables import empty_table, row_style
from phi4train.objectives.next_token import linear_cross_entropy

LOSS = "eval/loss"
PERPLEXITY_KEY = "eval/perplexity"
BASELINE_KEY = "eval/perplexity_{scorer}"

MODEL = "model"
UNIGRAM = "unigram"
BIGRAM = "bigram"


class HiddenModel(Protocol):
    """What perplexity needs of a model: `Phi4Model` has it."""

    def __call__(self, batch: Batch) -> Tensor:
        """Hidden rows after the final norm (T, D)."""

    @property
    def head_weight(self) -> Tensor:
        """The output head (V, D)."""


@dataclass(frozen=True)
class Perplexity:
    """Losses of one task's targets.

    Args:
        num_targets: scored positions.
        loss_sums: summed negative log-likelihood in nats, by scorer: `model`, and the baselines if any.
    """

    task: str
    num_targets: int
    loss_sums: Mapping[str, float]

    def loss(self, scorer: str = MODEL) -> float:
        """Nats a target."""
        return self.loss_sums[scorer] / self.num_targets

    def perplexity(self, scorer: str = MODEL) -> float:
        """exp(loss); inf where that overflows."""
        loss = self.loss(scorer)
        return math.exp(loss) if loss < 700 else math.inf


def sum_losses(
    model: HiddenModel, batches: Iterable[Batch], ngrams: NGrams | None = None
) -> dict[str, "TaskLosses"]:
    """The losses of the targets of each task.

    Call it in evaluation mode (`model_state.evaluation_mode`).

    Args:
        batches: training-style batches, on any device.
        ngrams: baselines to score on the very same targets.
    """
    totals: dict[str, TaskLosses] = defaultdict(TaskLosses)
    device = model.head_weight.device
    for batch in batches:
        samples_M = target_samples(batch)
        scores = {MODEL: _model_losses(model, batch.to(device))}
        if ngrams is not None:
            inputs_M, labels_M = target_pairs(batch)
            scores[UNIGRAM] = ngrams.unigram_losses(labels_M)
            scores[BIGRAM] = ngrams.bigram_losses(inputs_M, labels_M)
        for number, task in enumerate(batch.tasks):
            totals[task].add({scorer: losses_M[samples_M == number] for scorer, losses_M in scores.items()})
    return dict(totals)


def perplexities(parts: Sequence[Mapping[str, "TaskLosses"]]) -> list[Perplexity]:
    """One result a task in alphabetical order, then one over all; empty when no position has a label.

    Args:
        parts: what `sum_losses` returned of parts of the batches; how they were parted changes no bit.
    """
    tasks = sorted({task for part in parts for task in part})
    results = [_joined(task, [part[task] for part in parts if task in part]) for task in tasks]
    scored = [result for result in results if result.num_targets]
    return [*scored, _merged(scored)] if scored else []


def target_samples(batch: Batch) -> NDArray[np.int64]:
    """Number of the sample that each position with a label belongs to."""
    samples_T = np.repeat(np.arange(len(batch.sample_lengths)), batch.sample_lengths)
    samples_M: NDArray[np.int64] = samples_T[(batch.labels_T != IGNORE_INDEX).cpu().numpy()]
    return samples_M


def _model_losses(model: HiddenModel, batch: Batch) -> NDArray[np.float64]:
    _, losses_M = linear_cross_entropy(model(batch), model.head_weight, batch.labels_T)
    return losses_M.to("cpu", torch.float64).numpy()


@dataclass
class TaskLosses:
    """What the samples of one task add to its losses by scorer, each a term of its own."""

    num_targets: int = 0
    terms: dict[str, list[float]] = field(default_factory=dict)

    def add(self, losses: Mapping[str, NDArray[np.float64]]) -> None:
        """Adds the targets of a sample."""
        self.num_targets += len(losses[MODEL])
        for scorer, losses_M in losses.items():
            self.terms.setdefault(scorer, []).append(float(losses_M.sum()))


def _joined(task: str, parts: Sequence[TaskLosses]) -> Perplexity:
    sums = {
        scorer: math.fsum(term for part in parts for term in part.terms[scorer]) for scorer in parts[0].terms
    }
    return Perplexity(task, sum(part.num_targets for part in parts), sums)


def _merged(results: list[Perplexity]) -> Perplexity:
    scorers = results[0].loss_sums
    sums = {scorer: math.fsum(result.loss_sums[scorer] for result in results) for scorer in scorers}
    return Perplexity(ALL_TASKS, sum(result.num_targets for result in results), sums)


def _values(results: Sequence[Perplexity]) -> dict[str, float]:
    values = {}
    for result in results:
        if result.task != ALL_TASKS:
            values[f"{PERPLEXITY_KEY}/{result.task}"] = result.perplexity()
            continue
        values |= {LOSS: result.loss(), PERPLEXITY_KEY: result.perplexity()}
        baselines = [scorer for scorer in result.loss_sums if scorer != MODEL]
        values |= {BASELINE_KEY.format(scorer=name): result.perplexity(name) for name in baselines}
    return values


def _row(result: Perplexity) -> dict[str, Any]:
    by_scorer = {scorer: result.perplexity(scorer) for scorer in result.loss_sums}
    return {"task": result.task, "num_targets": result.num_targets, **by_scorer}


def _table(results: Sequence[Perplexity]) -> Table:
    scorers = list(results[0].loss_sums)
    table = empty_table("perplexity", ["task"], [*scorers, "targets"])
    for result in results:
        perplexities = [f"{result.perplexity(scorer):,.2f}" for scorer in scorers]
        table.add_row(result.task, *perplexities, f"{result.num_targets:,}", style=row_style(result.task))
    return table


_FORM = Form(digits=2, compared_digits=3)

PERPLEXITY = Metric(
    name="perplexity",
    quantities=(
        Quantity(LOSS, _FORM, is_lower_better=True),
        Quantity(
            PERPLEXITY_KEY, _FORM, is_lower_better=True, words="held-out perplexity", column="perplexity"
        ),
        Quantity(BASELINE_KEY.format(scorer=UNIGRAM), _FORM, is_lower_better=None),
        Quantity(BASELINE_KEY.format(scorer=BIGRAM), _FORM, is_lower_better=None, column="bigram's"),
    ),
    values=_values,
    row=_row,
    table=_table,
)
"""Measured on targets instead of answers, and of every mixture."""
