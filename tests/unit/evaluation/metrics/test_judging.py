"""The name of a task decides the metric."""

import subprocess
import sys
from typing import Any

import pytest

from phi4train.data.samples.records import Sample
from phi4train.evaluation.metrics.judging import Judge, JudgedText, is_right, judge_answers, judge_of


def sample(task: str, *answers: str, language: str | None = "de", **meta: Any) -> Sample:
    return Sample("key", task=task, answers=answers, language=language, meta=meta)


@pytest.mark.parametrize(
    ("task", "judge"),
    [
        *(("asr_de", Judge.error_rate), ("asr", Judge.error_rate), ("asr_de_noisy", Judge.error_rate)),
        *(("ast_de", Judge.bleu), ("ast", Judge.bleu)),
        *(("ssum", Judge.exact_match), ("sqqa", Judge.exact_match), ("vqa_count", Judge.exact_match)),
        *(("asrx_de", Judge.exact_match), ("astronomy", Judge.exact_match), ("none", Judge.exact_match)),
    ],
)
def test_the_first_word_of_a_task_decides_its_metric(task: str, judge: Judge) -> None:
    assert judge_of(task) is judge


def test_answers_go_to_the_metric_of_their_task() -> None:
    judged = judge_answers(
        [
            (sample("asr_de", "ja und"), "ja"),
            (sample("ast_de", "yes", "yeah"), "no"),
            (sample("ssum", "2 digits"), "2 Digits."),
        ]
    )
    assert judged.outcomes == [("ssum", True)]
    assert judged.transcripts == [JudgedText("asr_de", "de", ("ja und",), "ja")]
    assert judged.translations == [JudgedText("ast_de", "de", ("yes", "yeah"), "no")]


def test_a_sample_without_language_is_listed_as_unknown() -> None:
    judged = judge_answers(
        [(sample("asr_x", "a", language=None), "a"), (sample("ast_x", "a", language=None), "a")]
    )
    assert [one.language for one in (*judged.transcripts, *judged.translations)] == ["unknown", "unknown"]


def test_a_translation_after_its_transcript_is_judged_in_two_parts() -> None:
    judged = judge_answers([(sample("ast_de", "7 1 <sep> seven one"), "7 2 <sep> seven two <sep> x")])
    assert judged.transcripts == [JudgedText("ast_de_transcript", "de", ("7 1",), "7 2")]
    assert judged.translations == [JudgedText("ast_de", "de", ("seven one",), "seven two <sep> x")]


def test_an_answer_without_the_separator_has_no_translation() -> None:
    judged = judge_answers([(sample("ast_de", "7 1 <sep> seven one"), "seven one")])
    assert [one.hypothesis for one in judged.transcripts] == ["seven one"]
    assert [one.hypothesis for one in judged.translations] == [""]


def test_a_translation_that_was_not_to_have_a_transcript_is_judged_whole() -> None:
    judged = judge_answers([(sample("ast_de", "seven one"), "7 1 <sep> seven one")])
    assert judged.transcripts == []
    assert [one.hypothesis for one in judged.translations] == ["7 1 <sep> seven one"]


def test_a_named_target_language_is_part_of_the_pair_and_the_transcript_stays_in_the_spoken_one() -> None:
    answer = "guten Tag <sep> 你好"
    judged = judge_answers([(sample("ast_x", answer, language="de-AT", target_language="zh-CN"), answer)])
    [transcript], [translation] = judged.transcripts, judged.translations
    assert transcript.language == "de"
    assert (translation.language, translation.target_language) == ("de-zh", "zh")


@pytest.mark.parametrize(
    ("task", "text", "expected"),
    [
        *(("asr_de", "Ja, und!", True), ("asr_de", "ja oder", False), ("asr_de", "", False)),
        *(("ssum", "ja und.", True), ("ssum", "ja, und", False), ("ast_de", "Ja und", True)),
    ],
)
def test_an_answer_is_right_when_its_metric_finds_no_error(task: str, text: str, expected: bool) -> None:
    assert is_right(sample(task, "nein", "ja und"), text) is expected


def test_evaluating_text_and_images_needs_neither_jiwer_nor_sacrebleu() -> None:
    code = (
        "import sys, phi4train.evaluation.run, phi4train.evaluation.table; "
        "print([name for name in ('jiwer', 'sacrebleu') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
