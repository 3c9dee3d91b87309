"""The metrics that are known; a module of `imports` adds its own with `register_metric`."""

from typing import Any

from phi4train.errors import did_you_mean
from phi4train.evaluation.metrics.bleu import BLEU
from phi4train.evaluation.metrics.error_rate import ERROR_RATE
from phi4train.evaluation.metrics.exact_match import EXACT_MATCH
from phi4train.evaluation.metrics.metric import SKIPPED_SAMPLES, AnswerMetric, Metric, Quantity, overall_key
from phi4train.evaluation.metrics.perplexity import PERPLEXITY

_BUILT_IN: tuple[AnswerMetric[Any], ...] = (
    EXACT_MATCH,  # of every task that no other one judges
    ERROR_RATE,
    BLEU,
)

_RESERVED_NAMES = (PERPLEXITY.name, "metrics", "skipped")  # other sections of evaluation.json

_REGISTRY: dict[str, AnswerMetric[Any]] = {}


def register_metric(metric: AnswerMetric[Any]) -> None:
    """Makes a metric known: from now on it judges the tasks that its words name.

    Raises:
        ValueError: its name, a word or a key is taken, or could never be met.
    """
    problems = [*_malformed(metric), *_taken(metric)]
    if problems:
        raise ValueError(
            f"a metric must have a name, first words of tasks and keys of its own · found of "
            f"'{metric.name}': {', '.join(problems)} · rename them"
        )
    _REGISTRY[metric.name] = metric


def answer_metrics() -> tuple[AnswerMetric[Any], ...]:
    """All that judge answers, in the order in which they were registered."""
    return tuple(_REGISTRY.values())


def all_metrics() -> tuple[Metric[Any], ...]:
    """All of them, in the order in which reports tell them."""
    return (PERPLEXITY, *_REGISTRY.values())


def metric_of(task: str) -> AnswerMetric[Any]:
    """What judges the answers of a task: the metric that its name's first word belongs to, or exact match."""
    word = task.split("_")[0]
    return next((metric for metric in _REGISTRY.values() if word in metric.task_words), EXACT_MATCH)


def metric_named(name: str) -> AnswerMetric[Any]:
    """The metric of answers with this name.

    Raises:
        ValueError: none has it.
    """
    if name not in _REGISTRY:
        raise ValueError(
            f"parts of answers must go to a registered metric · found '{name}'"
            f"{did_you_mean(name, _REGISTRY)} · register it"
        )
    return _REGISTRY[name]


def quantities() -> tuple[Quantity, ...]:
    """What all metrics measure, in the order in which reports tell it."""
    return tuple(quantity for metric in all_metrics() for quantity in metric.quantities)


def quantity_of(key: str) -> Quantity | None:
    """The quantity that a key of `EvaluationReport.metrics` belongs to; None: no known metric measures it."""
    overall = overall_key(key)
    return next((quantity for quantity in quantities() if quantity.key == overall), None)


def _malformed(metric: AnswerMetric[Any]) -> list[str]:
    keys = [quantity.key for quantity in metric.quantities]
    return [
        *(f"word '{word}', which no first word is" for word in metric.task_words if not word or "_" in word),
        *(f"key '{key}', which is not eval/<word>" for key in keys if not _is_overall(key)),
    ]


def _is_overall(key: str) -> bool:
    scope, _, word = key.partition("/")
    return scope == "eval" and bool(word) and overall_key(key) == key


def _taken(metric: AnswerMetric[Any]) -> list[str]:
    words = {word for other in _REGISTRY.values() for word in other.task_words}
    keys = {SKIPPED_SAMPLES, *(quantity.key for quantity in quantities())}
    return [
        *(f"the taken name '{name}'" for name in (*_RESERVED_NAMES, *_REGISTRY) if name == metric.name),
        *(f"the taken word '{word}'" for word in metric.task_words if word in words),
        *(f"the taken key '{one.key}'" for one in metric.quantities if one.key in keys),
    ]


for _metric in _BUILT_IN:
    register_metric(_metric)
