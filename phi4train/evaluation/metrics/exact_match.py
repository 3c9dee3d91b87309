"""Exact match of short answers, by task, with a confidence interval."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from phi4train.evaluation.metrics.perplexity import ALL_TASKS

_Z_95 = 1.959963984540054


def normalise(answer: str) -> str:
    """The answer without case, runs of white space and a final period: all that exact match overlooks."""
    return " ".join(answer.casefold().split()).removesuffix(".").rstrip()


def is_match(answer: str, accepted: Sequence[str]) -> bool:
    """Whether the answer equals one of the accepted ones after `normalise`."""
    return normalise(answer) in {normalise(one) for one in accepted}


@dataclass(frozen=True)
class Accuracy:
    """How many answers of a task match."""

    task: str
    num_correct: int
    num_samples: int

    @property
    def fraction(self) -> float:
        """Share of answers that match."""
        return self.num_correct / self.num_samples

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the share. Source: E. B. Wilson, JASA 22 (1927)."""
        n, p, z = self.num_samples, self.fraction, _Z_95
        middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return max(0.0, middle - half), min(1.0, middle + half)


def accuracies(outcomes: Iterable[tuple[str, bool]]) -> list[Accuracy]:
    """One result a task in alphabetical order, then one over all samples; empty without outcomes.

    Args:
        outcomes: task and whether the answer matched, one a sample.
    """
    counted = Counter(outcomes)
    tasks = sorted({task for task, _ in counted})
    results = [
        Accuracy(task, counted[task, True], counted[task, True] + counted[task, False]) for task in tasks
    ]
    if not results:
        return []
    correct = sum(result.num_correct for result in results)
    return [*results, Accuracy(ALL_TASKS, correct, sum(result.num_samples for result in results))]
