"""An answer of transcript and translation is judged in two parts."""

from typing import Any

from phi4train.data.samples.records import Sample
from phi4train.evaluation.metrics.metric import Reply
from phi4train.evaluation.metrics.separated import split_transcript


def reply(text: str, *answers: str, task: str = "ast_de", **meta: Any) -> Reply:
    return Reply(Sample("key", task=task, answers=answers, language="de", meta=meta), text)


def test_the_transcript_is_a_task_of_its_own_for_the_error_rate() -> None:
    own, others = split_transcript(reply("7 2 <sep> seven two <sep> x", "7 1 <sep> seven one"))
    assert own == reply("seven two <sep> x", "seven one")
    assert others == {"error_rate": reply("7 2", "7 1", task="ast_de_transcript")}


def test_an_answer_without_the_separator_has_no_translation() -> None:
    own, others = split_transcript(reply("seven one", "7 1 <sep> seven one"))
    assert own.text == ""
    assert others["error_rate"].text == "seven one"


def test_a_translation_that_was_not_to_have_a_transcript_is_judged_whole() -> None:
    said = reply("7 1 <sep> seven one", "seven one")
    assert split_transcript(said) == (said, {})


def test_answers_without_a_transcript_are_no_references_beside_those_with_one() -> None:
    own, _ = split_transcript(reply("7 <sep> seven", "7 <sep> seven", "seven"))
    assert own.sample.answers == ("seven",)


def test_both_parts_keep_the_languages_of_the_sample() -> None:
    own, others = split_transcript(reply("a <sep> b", "a <sep> b", target_language="zh"))
    for part in (own, others["error_rate"]):
        assert (part.sample.language, part.sample.meta) == ("de", {"target_language": "zh"})
