"""Answers about Python are first sentences, and held-out ones are never seen in training."""

from random import Random

from phi4train.demo.samples import DemoSample
from phi4train.demo.text.docs_questions import docs_dialogues, first_sentence


def test_a_keyword_is_explained_with_the_first_sentence_of_its_documentation() -> None:
    samples = list(docs_dialogues(Random(0), 0.03, held_out=False))
    answers = {s.record["messages"][0]["content"]: s.record["messages"][1]["content"] for s in samples}
    assert answers["What does the keyword `while` do?"] == (
        'The "while" statement is used for repeated execution as long as an expression is true.'
    )


def test_no_held_out_answer_about_python_is_seen_in_training() -> None:
    def answers(samples: list[DemoSample]) -> set[str]:
        return {m["content"] for s in samples for m in s.record["messages"] if m["role"] == "assistant"}

    held_out = answers(list(docs_dialogues(Random(0), 0.03, held_out=True)))
    assert held_out
    assert not held_out & answers(list(docs_dialogues(Random(0), 0.03, held_out=False)))


def test_a_first_sentence_ends_where_it_ends() -> None:
    assert (
        first_sentence("Return the sum of\n  all items. More.\n\nEven more.")
        == "Return the sum of all items."
    )
    assert first_sentence("sum(iterable) -> value") is None
