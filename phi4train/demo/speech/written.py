"""The text twins of the audio tasks: each spoken word is a character between runs of filler.

    ~~7~~~1~0~~Transcribe the audio clip into text.        for a clip that says "seven one zero"

Later stages freeze the language model. What it has learned from these, an audio encoder calls up by giving a
token like `7` where the word is heard and tokens like `~` elsewhere.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random

from phi4train.demo.images.panel_dialogues import is_held_out_panel
from phi4train.demo.images.panels import FILLER
from phi4train.demo.samples import DemoSample, Turn, dialogue
from phi4train.demo.speech.exchanges import (
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
from phi4train.demo.speech.sounds import SYMBOLS, Sound, draw_sound_question
from phi4train.demo.speech.spoken import TRANSLATED_LANGUAGES
from phi4train.demo.speech.spoken_panels import SPOKEN_TASKS, draw_question, question_symbols

FILLERS_BEFORE, FILLERS_BETWEEN, FILLERS_AFTER = (0, 4), (1, 8), (1, 8)
"""Fewest and most fillers around symbols; a digit lasts 5 or 6 audio tokens, and is told where it begins."""

TWICE_PROBABILITY = 0.1
"""How often a sign fills two tokens side by side; it is heard once."""

MORE_QUESTIONS = 3
"""Most questions after the first about the same digits: answers are what a dialogue teaches."""

WEIGHTS: Mapping[str, float] = {
    "asr": 6.0,
    "ast": 0.5,
    "sqa": 1.0,
    "sqqa": 4.0,
    "signs": 0.5,
    "ssum": 0.2,
    "au": 0.3,
    "vs": 3.0,
}
"""How often each task is written, compared to the others."""

_Maker = Callable[[str, Random, bool], DemoSample]


def written_speech(count: int, rng: Random) -> Iterator[DemoSample]:
    """Training twins of all audio tasks; task `text_<task>`."""
    for task in rng.choices(tuple(WEIGHTS), tuple(WEIGHTS.values()), k=count):
        yield _MAKERS[task](task, rng, False)


def written_speech_questions(count_per_task: int, rng: Random) -> Iterator[DemoSample]:
    """Held-out twins, of other texts; sounds have so few written forms that none is held out."""
    for task in WEIGHTS:
        for _ in range(count_per_task if task != "au" else 0):
            yield _MAKERS[task](task, rng, True)


def written_audio(symbols: Sequence[str], rng: Random) -> str:
    """The symbols, some of them on two tokens, apart by random runs of filler."""
    heard = [
        symbol * 2 if len(symbol) == 1 and rng.random() < TWICE_PROBABILITY else symbol for symbol in symbols
    ]
    runs = [FILLERS_BEFORE, *[FILLERS_BETWEEN] * (len(heard) - 1)]
    written = [FILLER * rng.randint(*run) + symbol for run, symbol in zip(runs, heard, strict=False)]
    return "".join(written) + FILLER * rng.randint(*FILLERS_AFTER)


def _spoken(make: Callable[[Random], Exchange]) -> _Maker:
    def write(task: str, rng: Random, held_out: bool) -> DemoSample:
        said = draw_exchange(make, rng, held_out)
        turns = [Turn(said.task, said.prompt, said.answer)]
        if not held_out:
            turns += more_questions(said, rng.randint(0, MORE_QUESTIONS), rng)
        return _twin(task, said.symbols, turns, rng, held_out)

    return write


def _transcription(rng: Random) -> Exchange:
    return transcription(rng.choice(("en", "ja")), rng)  # written alike in all languages but English


def _translation(rng: Random) -> Exchange:
    return translation(rng.choice(TRANSLATED_LANGUAGES), rng)


def _sound(task: str, rng: Random, held_out: bool) -> DemoSample:
    asked = draw_sound_question(rng, held_out)
    turns = [Turn(task, asked.prompt, asked.answer)]
    return _twin(task, _sound_symbols(asked.sound), turns, rng, held_out)


def _sound_symbols(sound: Sound) -> tuple[str, ...]:
    symbol = SYMBOLS[sound.kind]
    return (symbol,) * sound.beeps if symbol else ()


def _panel(task: str, rng: Random, held_out: bool) -> DemoSample:
    while True:
        panel, turn = draw_question(rng.choice(SPOKEN_TASKS), rng)
        if is_held_out_panel(panel) == held_out:
            break
    asked = Turn(turn.task, "", turn.answer)
    return _twin(task, question_symbols(turn), [asked], rng, held_out, panel.as_layout())


_MAKERS: Mapping[str, _Maker] = {
    "asr": _spoken(_transcription),
    "ast": _spoken(_translation),
    "sqa": _spoken(question),
    "sqqa": _spoken(spoken_query),
    "signs": _spoken(signs),
    "ssum": _spoken(summary),
    "au": _sound,
    "vs": _panel,
}


def _twin(
    task: str,
    symbols: Sequence[str],
    turns: Sequence[Turn],
    rng: Random,
    is_measured: bool,
    context: str = "",
) -> DemoSample:
    heard = written_audio(symbols, rng)
    return dialogue(turns, f"text_{task}", context + heard, is_measured=is_measured)
