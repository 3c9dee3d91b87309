"""What is asked is answered by what is said, and no text is in both splits."""

from random import Random

import pytest

from phi4train.demo.speech.exchanges import (
    HELD_OUT_FRACTION,
    QUESTIONS,
    Exchange,
    draw_exchange,
    question,
    spoken_query,
    summary,
    transcription,
)
from phi4train.demo.text.arithmetic import number_word


def drawn(held_out: bool, count: int = 400) -> list[Exchange]:
    makers = (lambda rng: transcription("en", rng), lambda rng: transcription("ja", rng), question, summary)
    return [
        draw_exchange(make, Random(f"{held_out}{n}"), held_out)
        for make in (*makers, spoken_query)
        for n in range(count)
    ]


def test_no_text_is_both_trained_on_and_held_out() -> None:
    train, held_out = ({e.content for e in drawn(is_held_out)} for is_held_out in (False, True))
    assert None in train, "single digits are trained on"
    assert not train & held_out
    share = len(held_out) / len(train | held_out)
    assert HELD_OUT_FRACTION / 2 < share < 0.6


def test_every_word_of_a_held_out_text_is_heard_in_training() -> None:
    def words(exchanges: list[Exchange]) -> set[str]:
        spoken = " ".join(e.spoken for e in exchanges).replace("-", " ")
        return set("".join(c for c in spoken if c not in ",.?").split())

    assert words(drawn(True)) <= words(drawn(False))


@pytest.mark.parametrize("held_out", [False, True])
def test_answers_follow_from_what_is_said(held_out: bool) -> None:
    for exchange in drawn(held_out):
        said = [int(s) for s in exchange.symbols if s.isdigit()]
        if exchange.task == "asr_ja":
            assert exchange.answer == " ".join(map(str, said))
        if exchange.task == "sqa":
            kind = next(kind for kind, wordings in QUESTIONS.items() if exchange.prompt in wordings)
            right = {"count": len(said), "largest": max(said), "first": said[0], "last": said[-1]}[kind]
            assert exchange.answer == str(right)
        if exchange.task == "sqqa":
            a, b = said
            assert exchange.spoken.index(number_word(a)) <= exchange.spoken.rindex(number_word(b))
            compared = "yes" if a > b else "no"
            assert exchange.answer == (str(a + b) if "+" in exchange.symbols else compared)
        if exchange.task == "ssum":
            assert exchange.answer == f"{len(said)} digits, from {said[0]} to {said[-1]}"
