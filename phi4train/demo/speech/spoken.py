"""Speech samples: clips in many voices with their transcripts, translations, questions and summaries."""

from collections.abc import Callable, Iterator
from functools import partial
from random import Random

from phi4train.demo.samples import DemoSample
from phi4train.demo.speech.clips import audio_sample, spoken_clip
from phi4train.demo.speech.exchanges import (
    Exchange,
    draw_exchange,
    question,
    signs,
    spoken_query,
    summary,
    transcription,
    translation,
)
from phi4train.demo.speech.spoken_panels import spoken_question_sample
from phi4train.demo.speech.words import LANGUAGES

TRANSLATED_LANGUAGES = tuple(language for language in LANGUAGES if language != "en")

ENGLISH_WEIGHT = 5.0
"""How often English is transcribed in training, compared to another language: it has three kinds of text."""


def asr_samples(count: int, rng: Random) -> Iterator[DemoSample]:
    """Training clips with transcripts in all languages; task `asr_<language>`, or `asr_commands`."""
    weights = [ENGLISH_WEIGHT if language == "en" else 1.0 for language in LANGUAGES]
    for language in rng.choices(LANGUAGES, weights, k=count):
        yield _sample(partial(transcription, language), rng, held_out=False)


def asr_questions(count_per_language: int, rng: Random) -> Iterator[DemoSample]:
    """Held-out clips with transcripts: other voices, other texts."""
    for language in LANGUAGES:
        for _ in range(count_per_language):
            yield _sample(partial(transcription, language), rng, held_out=True)


def ast_samples(count: int, rng: Random) -> Iterator[DemoSample]:
    """Training clips with translations from all languages but English; task `ast_<language>`."""
    for language in rng.choices(TRANSLATED_LANGUAGES, k=count):
        yield _sample(partial(translation, language), rng, held_out=False)


def ast_questions(count_per_language: int, rng: Random) -> Iterator[DemoSample]:
    """Held-out clips with translations: other voices, other texts."""
    for language in TRANSLATED_LANGUAGES:
        for _ in range(count_per_language):
            yield _sample(partial(translation, language), rng, held_out=True)


def sqa_samples(count: int, rng: Random, held_out: bool) -> Iterator[DemoSample]:
    """Written questions about spoken digits; task `sqa`."""
    return (_sample(question, rng, held_out) for _ in range(count))


def sqqa_samples(count: int, rng: Random, held_out: bool) -> Iterator[DemoSample]:
    """Spoken queries without any text; task `sqqa`."""
    return (_sample(spoken_query, rng, held_out) for _ in range(count))


def ssum_samples(count: int, rng: Random, held_out: bool) -> Iterator[DemoSample]:
    """Summaries of several short sentences; task `ssum`."""
    return (_sample(summary, rng, held_out) for _ in range(count))


def sign_samples(count: int, rng: Random, held_out: bool) -> Iterator[DemoSample]:
    """Spoken questions written in signs (`3 + 4`): words that an encoder must tell apart; task `signs`."""
    for number in range(count):
        if number % 2:
            yield _sample(signs, rng, held_out)
        else:
            yield spoken_question_sample(rng, held_out)


def _sample(make: Callable[[Random], Exchange], rng: Random, held_out: bool) -> DemoSample:
    said = draw_exchange(make, rng, held_out)
    clip = spoken_clip(said.spoken, said.language, rng, held_out)
    return audio_sample(
        clip,
        said.prompt,
        said.answer,
        said.task,
        said.language,
        is_measured=held_out,
        target_language=said.target_language,
    )
