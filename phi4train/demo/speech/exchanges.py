"""What is said, asked and answered in each speech task, apart from how it is heard or written.

An `Exchange` is spoken by `spoken.py` and written by `written.py`: both share words and answers.
"""

import re
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

from phi4train.demo.samples import Turn, is_held_out
from phi4train.demo.speech.words import COMMANDS, LANGUAGES, spoken_digits
from phi4train.demo.text.arithmetic import number_word

HELD_OUT_FRACTION = 0.15
"""Share of all texts that only held-out clips may use; a single digit has too few forms to hold one out."""

TRANSCRIBE = "Transcribe the audio clip into text."
TRANSLATE = "Translate the audio to English."
TRANSCRIBE_AND_TRANSLATE = (
    "Transcribe the audio to text, and then translate the audio to English. "
    "Use <sep> as a separator between the original transcript and the translation."
)
SUMMARIZE = "Summarize the audio clip."
SPOKEN_QUERY = ""
"""The question is in the clip, and nothing is written."""

QUESTIONS: Mapping[str, tuple[str, ...]] = {
    "count": ("How many digits are spoken?", "How many digits do you hear?"),
    "largest": ("What is the largest spoken digit?", "Which spoken digit is the largest?"),
    "first": ("Which digit comes first?", "What is the first digit?"),
    "last": ("Which digit comes last?", "What is the last digit?"),
}
"""Paraphrases of each written question about spoken digits."""

WRITTEN_PROMPTS = (
    TRANSCRIBE,
    TRANSLATE,
    TRANSCRIBE_AND_TRANSLATE,
    SUMMARIZE,
    *(wording for wordings in QUESTIONS.values() for wording in wordings),
)
"""Everything that is written beside a spoken clip."""

SUM_WORDINGS = ("what is {a} plus {b}?", "{a} plus {b}", "add {a} and {b}")
COMPARE_WORDINGS = ("is {a} larger than {b}?", "is {a} greater than {b}?")
"""Spoken queries."""

PLUS, LARGER = "+", ">"
"""How the operators of spoken queries are written."""


@dataclass(frozen=True)
class Exchange:
    """Words that are spoken, the prompt beside them and the answer.

    Args:
        symbols: the same words in the form in which a text twin writes them.
        content: decides the split; None for what both splits may use.
        target_language: of the answer, when it is a translation.
    """

    task: str
    language: str
    spoken: str
    symbols: tuple[str, ...]
    prompt: str
    answer: str
    content: str | None
    target_language: str | None = None


def draw_exchange(make: Callable[[Random], Exchange], rng: Random, held_out: bool) -> Exchange:
    """A random exchange of the split."""
    while True:
        exchange = make(rng)
        is_of_held_out = exchange.content is not None and is_held_out(exchange.content, HELD_OUT_FRACTION)
        if is_of_held_out == held_out:
            return exchange


def transcription(language: str, rng: Random) -> Exchange:
    """One to four digits, written `7 1 0` in every language; in English also numbers (`#42`) and commands."""
    kind = rng.choices(("digits", "number", "command"), (5, 3, 1))[0] if language == "en" else "digits"
    if kind == "number":
        return _transcribed_number(rng)
    if kind == "command":
        command = rng.choice(COMMANDS)
        symbols = tuple(re.findall(" ?[^ ]+", command))  # as its tokens are in a transcript
        return Exchange("asr_commands", "en", command, symbols, TRANSCRIBE, command, f"say {command}")
    digits, listed = _digits(rng, 1, 4)
    spoken = spoken_digits(digits, language, rng)
    return Exchange(
        f"asr_{language}", language, spoken, tuple(listed.split()), TRANSCRIBE, listed, _content(digits)
    )


def _transcribed_number(rng: Random) -> Exchange:
    """`number forty-two` is written `#42`: without the word nobody could tell it from two digits."""
    number = rng.randrange(100)
    # every word of a number must be heard in training
    content = f"number {number}" if number > 20 and number % 10 else None
    written = f"#{number}"
    spoken = f"number {number_word(number)}"
    return Exchange("asr_en", "en", spoken, tuple(written), TRANSCRIBE, written, content)


def translation(language: str, rng: Random) -> Exchange:
    """Digits in another language to English words, every third time after their transcript."""
    digits, listed = _digits(rng, 1, 4)
    english = " ".join(map(number_word, digits))
    prompt, answer = TRANSLATE, english
    if rng.random() < 1 / 3:
        prompt, answer = TRANSCRIBE_AND_TRANSLATE, f"{listed} <sep> {english}"
    spoken = spoken_digits(digits, language, rng)
    return Exchange(
        f"ast_{language}",
        language,
        spoken,
        tuple(listed.split()),
        prompt,
        answer,
        _content(digits),
        target_language="en",
    )


def question(rng: Random) -> Exchange:
    """A written question about two to five spoken digits, every second time not in English."""
    language = "en" if rng.random() < 0.5 else rng.choice(LANGUAGES)
    digits, listed = _digits(rng, 2, 5)
    asked = _ask(rng.choice(tuple(QUESTIONS)), digits, rng)
    spoken = spoken_digits(digits, language, rng)
    symbols = tuple(listed.split())
    return Exchange("sqa", language, spoken, symbols, asked.question, asked.answer, _content(digits))


def more_questions(said: Exchange, count: int, rng: Random) -> list[Turn]:
    """Up to `count` further questions about the digits of an exchange; none if other words are said."""
    if not set(said.symbols) <= set(string.digits):
        return []
    digits = [int(symbol) for symbol in said.symbols]
    turns = [
        Turn("asr", TRANSCRIBE, " ".join(said.symbols)),
        *(_ask(kind, digits, rng) for kind in QUESTIONS),
    ]
    return rng.sample([turn for turn in turns if turn.question != said.prompt], count)


def _ask(kind: str, digits: Sequence[int], rng: Random) -> Turn:
    answer = {"count": len(digits), "largest": max(digits), "first": digits[0], "last": digits[-1]}[kind]
    return Turn("sqa", rng.choice(QUESTIONS[kind]), str(answer))


def spoken_query(rng: Random) -> Exchange:
    """A spoken sum of two digits, or a spoken comparison."""
    a, b = rng.randrange(10), rng.randrange(10)
    if rng.random() < 0.5 or a == b:
        operator, wording, answer = PLUS, rng.choice(SUM_WORDINGS), str(a + b)
    else:
        operator, wording, answer = LARGER, rng.choice(COMPARE_WORDINGS), "yes" if a > b else "no"
    spoken = wording.format(a=number_word(a), b=number_word(b))
    symbols = (str(a), operator, str(b))
    content = f"{a}{operator}{b}"
    return Exchange("sqqa", "en", spoken, symbols, SPOKEN_QUERY, answer, content)


def signs(rng: Random) -> Exchange:
    """A spoken query as its transcript in signs: `3+4`."""
    said = spoken_query(rng)
    return replace(said, task="signs", prompt=TRANSCRIBE, answer="".join(said.symbols))


def summary(rng: Random) -> Exchange:
    """Three to six short sentences of a digit each: `first seven. then one. last two.`"""
    digits, listed = _digits(rng, 3, 6)
    openings = ["first", *["then"] * (len(digits) - 2), "last"]
    spoken = " ".join(f"{opening} {number_word(d)}." for opening, d in zip(openings, digits, strict=True))
    answer = f"{len(digits)} digits, from {digits[0]} to {digits[-1]}"
    return Exchange("ssum", "en", spoken, tuple(listed.split()), SUMMARIZE, answer, _content(digits))


def _digits(rng: Random, fewest: int, most: int) -> tuple[list[int], str]:
    digits = [rng.randrange(10) for _ in range(rng.randint(fewest, most))]
    return digits, " ".join(map(str, digits))


def _content(digits: Sequence[int]) -> str | None:
    return "digits " + " ".join(map(str, digits)) if len(digits) > 1 else None
