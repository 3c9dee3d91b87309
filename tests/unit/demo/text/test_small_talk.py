"""Small talk opens, asks and closes in this order, and each answer fits its question."""

from random import Random

from phi4train.demo.text.small_talk import _CLOSINGS, _OPENINGS, _TOPICS, small_talk

STOCK = [*_OPENINGS, *_TOPICS, *_CLOSINGS]


def dialogues(count: int = 400, seed: int = 0) -> list[list[tuple[str, str]]]:
    made = []
    for sample in small_talk(count, Random(seed)):
        contents = [message["content"] for message in sample.record["messages"]]
        made.append(list(zip(contents[::2], contents[1::2], strict=True)))
        assert sample.record["task"] == "chat_small" and "answers" not in sample.record
    return made


def test_every_question_has_its_answer_and_all_are_asked() -> None:
    answer_of = {question: answer for questions, answer in STOCK for question in questions}
    assert len(answer_of) == sum(len(questions) for questions, _ in STOCK), "no question has two answers"
    asked = dict(pair for talk in dialogues() for pair in talk)
    assert asked == answer_of


def test_openings_come_first_and_closings_last_and_nothing_is_asked_twice() -> None:
    rank = {
        q: number for number, part in enumerate((_OPENINGS, _TOPICS, _CLOSINGS)) for qs, _ in part for q in qs
    }
    for talk in dialogues():
        ranks = [rank[question] for question, _ in talk]
        assert 1 <= len(talk) <= 4 and ranks == sorted(ranks)
        assert ranks.count(0) <= 1 and ranks.count(2) <= 1
        assert len({answer for _, answer in talk}) == len(talk)


def test_the_seed_decides() -> None:
    assert dialogues(20) == dialogues(20) != dialogues(20, seed=1)
