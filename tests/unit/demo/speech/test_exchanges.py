"""What is asked is answered by what is said, and no text is in both splits."""

from random import Random

import pytest

from phi4train.demo.samples import is_held_out
from phi4train.demo.speech.exchanges import (
    HELD_OUT_FRACTION,
    QUESTIONS,
    TRANSCRIBE,
    TRANSCRIBE_AND_TRANSLATE,
    TRANSLATE,
    Exchange,
    draw_exchange,
    more_questions,
    question,
    signs,
    spoken_query,
    summary,
    transcription,
    translation,
)
from phi4train.demo.speech.words import DIGIT_WORDS, LANGUAGES
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


def test_a_draw_belongs_to_the_split_that_is_asked_for() -> None:
    for held_out in (False, True):
        for exchange in drawn(held_out, 40):
            content = exchange.content
            assert (content is not None and is_held_out(content, HELD_OUT_FRACTION)) == held_out


@pytest.mark.parametrize("language", [name for name in LANGUAGES if name != "en"])
def test_a_translation_says_the_same_digits_in_english_words(language: str) -> None:
    prompts = set()
    for seed in range(30):
        said = translation(language, Random(seed))
        english = " ".join(number_word(int(symbol)) for symbol in said.symbols)
        listed = " ".join(said.symbols)
        with_transcript = said.prompt == TRANSCRIBE_AND_TRANSLATE
        assert said.answer == (f"{listed} <sep> {english}" if with_transcript else english)
        assert (said.task, said.language, said.target_language) == (f"ast_{language}", language, "en")
        assert sum(said.spoken.count(word) for word in set(DIGIT_WORDS[language])) >= len(said.symbols)
        prompts.add(said.prompt)
    assert prompts == {TRANSLATE, TRANSCRIBE_AND_TRANSLATE}


def test_signs_are_the_transcript_of_the_query_and_not_its_answer() -> None:
    for seed in range(30):
        query, written = spoken_query(Random(seed)), signs(Random(seed))
        assert (written.spoken, written.symbols) == (query.spoken, query.symbols)
        assert written.answer == "".join(query.symbols) and written.prompt == TRANSCRIBE
        assert query.prompt == ""


def test_further_questions_are_about_digits_alone_and_never_the_first_again() -> None:
    said = question(Random(0))
    more = more_questions(said, 3, Random(0))
    assert len(more) == 3 and said.prompt not in {turn.question for turn in more}
    assert len({turn.question for turn in more}) == 3
    assert more_questions(spoken_query(Random(0)), 3, Random(0)) == []
