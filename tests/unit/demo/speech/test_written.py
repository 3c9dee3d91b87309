"""Written audio tells what the clip tells, and held-out texts stay out of training."""

import re
from collections import Counter
from random import Random

import pytest

from phi4train.demo.samples import DemoSample
from phi4train.demo.speech.exchanges import QUESTIONS, TRANSCRIBE, TRANSCRIBE_AND_TRANSLATE
from phi4train.demo.speech.written import (
    FILLERS_AFTER,
    FILLERS_BEFORE,
    FILLERS_BETWEEN,
    WEIGHTS,
    written_audio,
    written_speech,
    written_speech_questions,
)


def turns(sample: DemoSample) -> tuple[str, str]:
    user, assistant, *_ = sample.record["messages"]
    return user["content"], assistant["content"]


def collapsed(written: str) -> str:
    """What is heard: a sign on two tokens side by side is one."""
    return re.sub(r"([^a-z~])\1", r"\1", written)


def test_symbols_are_apart_by_filler_and_some_fill_two_tokens() -> None:
    seen = Counter[str]()
    for seed in range(300):
        written = written_audio(["7", "1", " left"], Random(seed))
        found = re.fullmatch(r"(~*)(77?)(~+)(11?)(~+) left(~+)", written)
        assert found
        seen.update(found[2] + found[4])
        runs = [len(run) for run in found.group(1, 3, 5, 6)]
        for run, (fewest, most) in zip(
            runs, (FILLERS_BEFORE, FILLERS_BETWEEN, FILLERS_BETWEEN, FILLERS_AFTER), strict=True
        ):
            assert fewest <= run <= most
    assert seen["7"] > 310 < seen["1"], "a few are written twice"
    assert set(written_audio([], Random(0))) == {"~"}


def test_all_tasks_are_written_in_their_proportions() -> None:
    tasks = Counter(s.record["task"] for s in written_speech(4000, Random(0)))
    total = sum(WEIGHTS.values())
    assert {task: tasks[f"text_{task}"] / 4000 for task in WEIGHTS} == pytest.approx(
        {task: weight / total for task, weight in WEIGHTS.items()}, abs=0.03
    )


def test_a_transcript_is_what_stands_between_the_filler() -> None:
    checked = 0
    for sample in written_speech(1000, Random(0)):
        user, answer = turns(sample)
        if user.endswith(TRANSCRIBE):
            words = collapsed(user.removesuffix(TRANSCRIBE)).replace("~", " ").split()
            assert ("".join(words) == answer) if {"#", "+", ">"} & {*words} else (words == answer.split())
            checked += 1
        if user.endswith(TRANSCRIBE_AND_TRANSLATE):
            digits, words = answer.split(" <sep> ")
            assert len(digits.split()) == len(words.split())
    assert checked > 100


def test_further_questions_are_answered_by_the_same_digits() -> None:
    checked: Counter[str] = Counter()
    kind_of = {wording: kind for kind, wordings in QUESTIONS.items() for wording in wordings}
    for sample in written_speech(1000, Random(0)):
        messages = [message["content"] for message in sample.record["messages"]]
        said = [int(digit) for digit in re.sub("[^0-9]", "", collapsed(messages[0]))]
        assert len(set(messages[::2])) == len(messages) / 2
        for asked, answer in zip(messages[2::2], messages[3::2], strict=True):
            if asked == TRANSCRIBE:
                assert answer == " ".join(map(str, said))
            else:
                kind = kind_of[asked]
                right = {"count": len(said), "largest": max(said), "first": said[0], "last": said[-1]}[kind]
                assert answer == str(right)
            checked[asked] += 1
    assert checked.keys() == {TRANSCRIBE, *kind_of} and checked.total() > 500


def test_no_written_text_is_both_trained_on_and_held_out() -> None:
    def texts(samples: list[DemoSample]) -> set[tuple[str, str]]:
        return {(s.record["task"], re.sub("~+", "~", collapsed(turns(s)[0])).strip("~")) for s in samples}

    held_out = list(written_speech_questions(40, Random(0)))
    assert len(held_out) == 40 * (len(WEIGHTS) - 1)
    assert all(s.record["answers"] == [turns(s)[1]] for s in held_out)
    train = {text for text in texts(list(written_speech(8000, Random(1)))) if text[0] != "text_vs"}
    assert not train & texts(held_out)


def test_no_written_panel_with_a_spoken_question_is_both_trained_on_and_held_out() -> None:
    def panels(samples: list[DemoSample]) -> set[str]:
        return {turns(s)[0].rsplit("\n", 1)[0] for s in samples if s.record["task"] == "text_vs"}

    held_out = panels(list(written_speech_questions(40, Random(0))))
    assert held_out
    assert not held_out & panels(list(written_speech(8000, Random(1))))
