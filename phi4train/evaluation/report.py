"""What an evaluation found, as metrics and as JSON."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from phi4train.data.batches.loader import SkippedSample
from phi4train.evaluation.answers import Answer
from phi4train.evaluation.metrics.metric import SKIPPED_SAMPLES, Metric
from phi4train.evaluation.metrics.registry import all_metrics
from phi4train.files import write_atomically

R = TypeVar("R")


@dataclass(frozen=True)
class EvaluationReport:
    """Results of one held-out mixture.

    Args:
        results: by the name of the metric; one that had nothing to score may be missing.
        skipped: samples that could not be used, each once.
        answers: what the model said to the prompts that have accepted answers, without pictures.
    """

    results: Mapping[str, tuple[Any, ...]]
    skipped: tuple[SkippedSample, ...]
    answers: tuple[Answer, ...] = ()

    def results_of(self, metric: Metric[R]) -> tuple[R, ...]:
        """What a metric found; empty when it had nothing to score."""
        return self.results.get(metric.name, ())

    def metrics(self) -> dict[str, float]:
        """Flat numbers for metrics.jsonl and loggers."""
        numbers = {SKIPPED_SAMPLES: float(len(self.skipped))}
        for metric in all_metrics():
            if found := self.results_of(metric):
                numbers |= metric.values(found)
        return numbers

    def as_dict(self) -> dict[str, Any]:
        """Everything, with counts and intervals, as JSON values."""
        return {
            **{metric.name: [metric.row(one) for one in self.results_of(metric)] for metric in all_metrics()},
            "metrics": self.metrics(),
            "skipped": [{"key": sample.key, "cause": sample.cause} for sample in self.skipped],
        }


def save_report(report: EvaluationReport, path: Path) -> None:
    """Writes `as_dict` as JSON, and beside `evaluation*.json` the answers as `answers*.jsonl`, atomically."""
    answers = path.with_name(path.name.replace("evaluation", "answers", 1)).with_suffix(".jsonl")
    lines = [json.dumps(answer.as_dict(), ensure_ascii=False) + "\n" for answer in report.answers]
    write_atomically(answers, "".join(lines).encode())
    write_atomically(path, json.dumps(report.as_dict(), indent=2, ensure_ascii=False).encode())
