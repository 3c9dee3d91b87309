"""What an evaluation found, as metrics and as JSON."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phi4train.data.batches.loader import SkippedSample
from phi4train.evaluation.metrics import metric_keys as keys
from phi4train.evaluation.metrics.bleu import Bleu, mean_score
from phi4train.evaluation.metrics.error_rate import ErrorRate, Unit, mean_rate
from phi4train.evaluation.metrics.exact_match import Accuracy
from phi4train.evaluation.metrics.perplexity import ALL_TASKS, MODEL, Perplexity
from phi4train.files import write_atomically


@dataclass(frozen=True)
class EvaluationReport:
    """Results of one held-out mixture.

    Args:
        perplexities: by task, the one over all last.
        accuracies: by task, the one over all last; empty when no sample has accepted answers.
        error_rates: of transcripts, by task and language, those over all (one a unit) last.
        bleus: of translations, by task and language.
        skipped: samples that could not be used, each once.
    """

    perplexities: tuple[Perplexity, ...]
    accuracies: tuple[Accuracy, ...]
    error_rates: tuple[ErrorRate, ...]
    bleus: tuple[Bleu, ...]
    skipped: tuple[SkippedSample, ...]

    def metrics(self) -> dict[str, float]:
        """Flat numbers for metrics.jsonl and loggers."""
        return {
            keys.SKIPPED_SAMPLES: float(len(self.skipped)),
            **self._perplexity_metrics(),
            **self._accuracy_metrics(),
            **self._error_rate_metrics(),
            **self._bleu_metrics(),
        }

    def _perplexity_metrics(self) -> dict[str, float]:
        metrics = {}
        for result in self.perplexities:
            if result.task != ALL_TASKS:
                metrics[keys.PERPLEXITY_PER_TASK.format(task=result.task)] = result.perplexity()
                continue
            metrics |= {keys.LOSS: result.loss(), keys.PERPLEXITY: result.perplexity()}
            for scorer in result.loss_sums.keys() - {MODEL}:
                metrics[keys.BASELINE_PERPLEXITY.format(scorer=scorer)] = result.perplexity(scorer)
        return metrics

    def _accuracy_metrics(self) -> dict[str, float]:
        metrics = {}
        for accuracy in self.accuracies:
            is_overall = accuracy.task == ALL_TASKS
            key = keys.ACCURACY if is_overall else keys.ACCURACY_PER_TASK.format(task=accuracy.task)
            metrics[key] = accuracy.fraction
        return metrics

    def _error_rate_metrics(self) -> dict[str, float]:
        if not self.error_rates:
            return {}
        metrics = {keys.MEAN_ERROR_RATE: mean_rate(self.error_rates)}
        for result in self.error_rates:
            task, is_words = result.task, result.unit is Unit.words
            if task == ALL_TASKS:
                metrics[keys.WER if is_words else keys.CER] = result.rate
                continue
            key = keys.WER_PER_LANGUAGE if is_words else keys.CER_PER_LANGUAGE
            metrics[key.format(task=task, language=result.language)] = result.rate
            metrics[keys.MEAN_ERROR_RATE_PER_TASK.format(task=task)] = mean_rate(self.error_rates, task)
        return metrics

    def _bleu_metrics(self) -> dict[str, float]:
        if not self.bleus:
            return {}
        metrics = {keys.BLEU: mean_score(self.bleus)}
        for result in self.bleus:
            task = result.task
            metrics[keys.BLEU_PER_LANGUAGE.format(task=task, language=result.language)] = result.score
            metrics[keys.BLEU_PER_TASK.format(task=task)] = mean_score(self.bleus, task)
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
            "error_rate": [
                {
                    "task": result.task,
                    "language": result.language,
                    "unit": result.unit.name,
                    "num_errors": result.num_errors,
                    "num_units": result.num_units,
                    "num_samples": result.num_samples,
                    "rate": result.rate,
                }
                for result in self.error_rates
            ],
            "bleu": [vars(result) for result in self.bleus],
            "metrics": self.metrics(),
            "skipped": [{"key": sample.key, "cause": sample.cause} for sample in self.skipped],
        }


def save_report(report: EvaluationReport, path: Path) -> None:
    """Writes `as_dict` as JSON, atomically."""
    write_atomically(path, json.dumps(report.as_dict(), indent=2, ensure_ascii=False).encode())
