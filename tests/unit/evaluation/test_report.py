"""A report tells the same numbers as metrics, as JSON, as tables and in a line."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from phi4train.config.schema import EvaluationConfig
from phi4train.data.samples.records import Sample
from phi4train.evaluation.held_out import one_line
from phi4train.evaluation.metrics.judging import judge_replies
from phi4train.evaluation.metrics.metric import SKIPPED_SAMPLES, Reply
from phi4train.evaluation.metrics.perplexity import BASELINE_KEY, Perplexity
from phi4train.evaluation.metrics.registry import quantity_of
from phi4train.evaluation.report import EvaluationReport, save_report
from phi4train.evaluation.table import report_tables


def reply(task: str, language: str, answer: str, text: str) -> Reply:
    return Reply(Sample("key", task=task, answers=(answer,), language=language), text)


TRANSCRIPTS = [
    reply("asr_a", "en", "a b c d", "a b c x"),
    reply("asr_a", "de", "a b c d", "a b c d"),
    reply("asr_a", "zh", "今天", "今"),
]
TRANSLATIONS = [reply("ast_a", "de", "a b c d", "a b c d"), reply("ast_a", "fr", "a b c d", "x")]
SHORT = [reply("ssum", "en", "a", "a"), reply("ssum", "en", "a", "b")]


@pytest.fixture
def report() -> EvaluationReport:
    perplexities = (Perplexity("asr_a", 2, {"model": 2.0}), Perplexity("all", 2, {"model": 2.0}))
    judged = judge_replies([*TRANSLATIONS, *SHORT, *TRANSCRIPTS])
    return EvaluationReport({"perplexity": perplexities, **judged}, skipped=())


def test_metrics_are_by_task_and_language_averaged_and_over_all(report: EvaluationReport) -> None:
    found = {key: value for key, value in report.metrics().items() if "perplexity" not in key}
    assert found == pytest.approx(
        {
            "eval/loss": 1.0,
            "eval/accuracy": 0.5,
            "eval/accuracy/ssum": 0.5,
            "eval/wer": 1 / 8,
            "eval/wer/asr_a/en": 1 / 4,
            "eval/wer/asr_a/de": 0.0,
            "eval/cer": 1 / 2,
            "eval/cer/asr_a/zh": 1 / 2,
            "eval/error_rate": 1 / 4,
            "eval/error_rate/asr_a": 1 / 4,
            "eval/bleu": 50.0,
            "eval/bleu/ast_a": 50.0,
            "eval/bleu/ast_a/de": 100.0,
            "eval/bleu/ast_a/fr": 0.0,
            "eval/skipped_samples": 0.0,
        }
    )


def test_the_saved_report_holds_counts_signatures_and_the_metrics(
    report: EvaluationReport, tmp_path: Path
) -> None:
    save_report(report, tmp_path / "evaluation.json")
    saved = json.loads((tmp_path / "evaluation.json").read_text())
    assert saved["metrics"] == report.metrics()
    assert saved["error_rate"][-1] == {
        **{"task": "all", "language": "all", "unit": "characters"},
        **{"num_errors": 1, "num_units": 2, "num_samples": 1, "rate": 0.5, "interval_95": None},
    }
    assert [one["num_samples"] for one in saved["bleu"]] == [1, 1]
    assert saved["bleu"][0]["signature"].startswith("nrefs:1|case:mixed|eff:yes|tok:13a|smooth:exp|version:")


def test_tables_show_languages_means_and_samples(report: EvaluationReport) -> None:
    console = Console(record=True, width=120, file=io.StringIO())
    console.print(report_tables(report))
    rows = [
        [cell.strip() for cell in line.strip("│").split("│")]
        for line in console.export_text().splitlines()
        if line.startswith("│")
    ]
    assert ["asr_a", "en", "25.0 %", "", "1", "4 words", "1"] in rows
    assert ["asr_a", "zh", "50.0 %", "", "1", "2 characters", "1"] in rows
    assert ["asr_a", "mean of 3 languages", "25.0 %", "", "", "", "3"] in rows
    assert ["all", "all", "12.5 %", "0.0 to 25.0", "1", "8 words", "2"] in rows
    assert ["ast_a", "fr", "0.0", "1"] in rows
    assert ["ast_a", "mean of 2 languages", "50.0", "2"] in rows


def test_a_task_in_one_language_has_no_mean_of_its_own_line() -> None:
    report = EvaluationReport(judge_replies([TRANSCRIPTS[0], TRANSLATIONS[0]]), ())
    console = Console(record=True, width=120, file=io.StringIO())
    console.print(report_tables(report))
    assert "mean of" not in console.export_text()


def test_the_line_while_training_has_the_overall_results(report: EvaluationReport) -> None:
    assert one_line(report, EvaluationConfig(manifest="mine")) == (
        "mine: held-out perplexity 2.72, exact match 50.0 %, word error rate 12.5 %, "
        "character error rate 50.0 %, BLEU 50.0"
    )


def test_each_metric_of_a_model_knows_which_way_it_improves(report: EvaluationReport) -> None:
    known = {key: quantity for key in report.metrics() if (quantity := quantity_of(key))}
    directions = {key: quantity.is_lower_better for key, quantity in known.items()}
    better_when_higher = {key for key, is_lower in directions.items() if not is_lower}
    assert {key.split("/")[1] for key in better_when_higher} == {"accuracy", "bleu"}
    assert {key.split("/")[1] for key in directions.keys() - better_when_higher} == {
        *("loss", "perplexity", "wer", "cer", "error_rate")
    }


def test_baselines_and_counts_measure_no_model() -> None:
    bigram = quantity_of(BASELINE_KEY.format(scorer="bigram"))
    assert bigram is not None and bigram.is_lower_better is None
    assert quantity_of(SKIPPED_SAMPLES) is None


def test_a_metric_that_had_nothing_to_score_has_an_empty_section_and_no_numbers() -> None:
    report = EvaluationReport(judge_replies(SHORT), ())
    assert report.as_dict()["bleu"] == []
    assert {key.split("/")[1] for key in report.metrics()} == {"accuracy", "skipped_samples"}


def test_sections_and_numbers_have_the_order_of_the_registry(report: EvaluationReport) -> None:
    assert list(report.as_dict()) == [
        *("perplexity", "accuracy", "error_rate", "bleu"),
        *("metrics", "skipped"),
    ]
