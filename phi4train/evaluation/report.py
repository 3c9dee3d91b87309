"""What an evaluation found, as metrics and as JSON."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phi4train.data.loader import SkippedSample
from phi4train.data.shards import write_atomically
from phi4train.evaluation.exact_match import Accuracy
from phi4train.evaluation.perplexity import ALL_TASKS, MODEL, Perplexity

LOSS = "eval/loss"
PERPLEXITY = "eval/perplexity"
BASELINE_PERPLEXITY = "eval/perplexity_{scorer}"
PERPLEXITY_PER_TASK = "eval/perplexity/{task}"
ACCURACY = "eval/accuracy"
ACCURACY_PER_TASK = "eval/accuracy/{task}"
SKIPPED_SAMPLES = "eval/skipped_samples"


@dataclass(frozen=True)
class EvaluationReport:
    """Results of one held-out mixture.

    Args:
        perplexities: by task, the one over all last.
        accuracies: by task, the one over all last; empty when no sample has accepted answers.
        skipped: samples that could not be used, each once.
    """

    perplexities: tuple[Perplexity, ...]
    accuracies: tuple[Accuracy, ...]
    skipped: tuple[SkippedSample, ...]

    def metrics(self) -> dict[str, float]:
        """Flat numbers for metrics.jsonl and loggers."""
        metrics = {SKIPPED_SAMPLES: float(len(self.skipped))}
        for result in self.perplexities:
            if result.task != ALL_TASKS:
                metrics[PERPLEXITY_PER_TASK.format(task=result.task)] = result.perplexity()
                continue
            metrics |= {LOSS: result.loss(), PERPLEXITY: result.perplexity()}
            for scorer in result.loss_sums.keys() - {MODEL}:
                metrics[BASELINE_PERPLEXITY.format(scorer=scorer)] = result.perplexity(scorer)
        for accuracy in self.accuracies:
            is_overall = accuracy.task == ALL_TASKS
            key = ACCURACY if is_overall else ACCURACY_PER_TASK.format(task=accuracy.task)
            metrics[key] = accuracy.fraction
        return metrics

    def as_dict(self) -> dict[str, Any]:
        """Everything, with counts and intervals, as JSON values."""
        return {
            "perplexity": [
                {
                    "task": result.task,
                    "num_targets": result.num_targets,
                    **{scorer: result.perplexity(scorer) for scorer in result.loss_sums},
                }
                for result in self.perplexities
            ],
            "accuracy": [
                {
                    "task": accuracy.task,
                    "num_correct": accuracy.num_correct,
                    "num_samples": accuracy.num_samples,
                    "fraction": accuracy.fraction,
                    "interval_95": list(accuracy.interval),
                }
                for accuracy in self.accuracies
            ],
            "skipped": [{"key": sample.key, "cause": sample.cause} for sample in self.skipped],
        }


def save_report(report: EvaluationReport, path: Path) -> None:
    """Writes `as_dict` as JSON, atomically."""
    write_atomically(path, json.dumps(report.as_dict(), indent=2, ensure_ascii=False).encode())
