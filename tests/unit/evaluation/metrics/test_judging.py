"""Each answer goes to the metric of its task."""

import subprocess
import sys

import pytest

from phi4train.data.samples.records import Sample
from phi4train.evaluation.metrics.judging import is_right, judge_replies, sort_replies
from phi4train.evaluation.metrics.metric import Reply


def reply(task: str, text: str, *answers: str) -> Reply:
    return Reply(Sample("key", task=task, answers=answers, language="de"), text)


def test_answers_go_to_the_metric_of_their_task() -> None:
    said = [
        *(reply("asr_de", "ja", "ja und"), reply("ast_de", "no", "yes", "yeah")),
        *(reply("ssum", "2 Digits.", "2 digits"), reply("vqa_a", "3", "3")),
    ]
    assert sort_replies(said) == {"error_rate": said[:1], "bleu": said[1:2], "accuracy": said[2:]}


def test_a_transcript_before_a_translation_goes_to_the_error_rate_whatever_its_task_is_called() -> None:
    judged = sort_replies([reply("ast_de", "7 2 <sep> seven two", "7 1 <sep> seven one")])
    assert judged == {
        "error_rate": [reply("ast_de_transcript", "7 2", "7 1")],
        "bleu": [reply("ast_de", "seven two", "seven one")],
    }


def test_a_metric_without_answers_has_no_results() -> None:
    assert judge_replies([]) == {}
    judged = judge_replies([reply("ssum", "2", "2")])
    assert {name: [one.task for one in results] for name, results in judged.items()} == {
        "accuracy": ["ssum", "all"]
    }


@pytest.mark.parametrize(
    ("task", "text", "expected"),
    [
        *(("asr_de", "Ja, und!", True), ("asr_de", "ja oder", False), ("asr_de", "", False)),
        *(("ssum", "ja und.", True), ("ssum", "ja, und", False), ("ast_de", "Ja und", True)),
    ],
)
def test_an_answer_is_right_when_its_metric_finds_no_error(task: str, text: str, expected: bool) -> None:
    assert is_right(reply(task, text, "nein", "ja und")) is expected


def test_a_translation_is_right_when_its_transcript_is_too() -> None:
    assert is_right(reply("ast_de", "7 <sep> seven", "7 <sep> seven"))
    assert not is_right(reply("ast_de", "8 <sep> seven", "7 <sep> seven"))


def test_evaluating_text_and_images_needs_neither_jiwer_nor_sacrebleu() -> None:
    code = (
        "import sys, phi4train.evaluation.evaluate, phi4train.evaluation.table; "
        "print([name for name in ('jiwer', 'sacrebleu') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
