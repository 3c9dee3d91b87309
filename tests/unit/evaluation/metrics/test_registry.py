"""A metric is known once it is registered, under names of its own."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from phi4train.data.samples.records import Sample
from phi4train.evaluation.metrics import registry
from phi4train.evaluation.metrics.judging import sort_replies
from phi4train.evaluation.metrics.metric import SKIPPED_SAMPLES, AnswerMetric, Form, Quantity, Reply
from phi4train.evaluation.metrics.registry import (
    answer_metrics,
    metric_named,
    metric_of,
    quantities,
    quantity_of,
    register_metric,
)
from phi4train.evaluation.metrics.tables import empty_table


def length_of(replies: Sequence[Reply]) -> list[int]:
    return [len(reply.text) for reply in replies]


OWN: AnswerMetric[int] = AnswerMetric(
    name="length",
    quantities=(Quantity("eval/length", Form(0, 0), is_lower_better=True, words="length", column="length"),),
    values=lambda results: {"eval/length": float(sum(results))},
    row=lambda result: {"length": result},
    table=lambda results: empty_table("length", ["task"], []),
    task_words=("sum", "essay"),
    score=length_of,
    is_right=lambda reply: not reply.text,
)


@pytest.fixture(autouse=True)
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))


@pytest.mark.parametrize(
    ("task", "metric"),
    [
        *(("asr_de", "error_rate"), ("asr", "error_rate"), ("asr_de_noisy", "error_rate")),
        *(("ast_de", "bleu"), ("ast", "bleu")),
        *(("ssum", "accuracy"), ("sqqa", "accuracy"), ("vqa_count", "accuracy"), ("essay_long", "accuracy")),
        *(("asrx_de", "accuracy"), ("astronomy", "accuracy"), ("none", "accuracy")),
    ],
)
def test_the_first_word_of_a_task_decides_its_metric(task: str, metric: str) -> None:
    assert metric_of(task).name == metric


def test_a_registered_metric_judges_the_tasks_of_its_words_and_no_others() -> None:
    register_metric(OWN)
    assert [metric_of(task).name for task in ("essay_long", "sum", "ssum", "asr_sum")] == [
        *("length", "length", "accuracy", "error_rate")
    ]
    assert [metric.name for metric in answer_metrics()] == ["accuracy", "error_rate", "bleu", "length"]
    assert quantity_of("eval/length/essay/de") is OWN.quantities[0]


def test_every_key_belongs_to_one_quantity() -> None:
    keys = [quantity.key for quantity in quantities()]
    assert len(set(keys)) == len(keys)
    assert quantity_of("eval/length") is None


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"name": "bleu"}, "the taken name 'bleu'"),
        ({"name": "perplexity"}, "the taken name 'perplexity'"),
        ({"name": "skipped"}, "the taken name 'skipped'"),
        ({"task_words": ("sum", "asr")}, "the taken word 'asr'"),
        ({"task_words": ("sum_long",)}, "word 'sum_long', which no first word is"),
        ({"task_words": ("",)}, "word '', which no first word is"),
        ({"quantities": (Quantity("eval/wer", Form(1, 1), True),)}, "the taken key 'eval/wer'"),
        ({"quantities": (Quantity(SKIPPED_SAMPLES, Form(1, 1), True),)}, "the taken key 'eval/skipped_"),
        ({"quantities": (Quantity("length", Form(1, 1), True),)}, "key 'length', which is not eval/<word>"),
        ({"quantities": (Quantity("eval/a/b", Form(1, 1), True),)}, "key 'eval/a/b', which is not eval/<"),
    ],
)
def test_names_that_are_taken_or_never_met_are_refused(change: dict[str, Any], told: str) -> None:
    before = answer_metrics()
    with pytest.raises(ValueError, match="a metric must have a name, first words of tasks and") as caught:
        register_metric(replace(OWN, **change))
    assert told in str(caught.value)
    assert answer_metrics() == before


def test_registering_twice_tells_every_taken_name() -> None:
    register_metric(OWN)
    with pytest.raises(ValueError) as caught:
        register_metric(OWN)
    assert str(caught.value) == (
        "a metric must have a name, first words of tasks and keys of its own · found of 'length': "
        "the taken name 'length', the taken word 'sum', the taken word 'essay', the taken key 'eval/length' "
        "· rename them"
    )


def test_a_part_goes_to_a_registered_metric_or_says_so() -> None:
    register_metric(replace(OWN, split=lambda reply: (reply, {"blue": reply})))
    said = [Reply(Sample("key", task="essay", answers=("a",)), "a")]
    [name] = {*sort_replies(said)} - {OWN.name}
    with pytest.raises(ValueError, match=r"registered metric · found 'blue' \(did you mean 'bleu'\?\) · "):
        metric_named(name)
