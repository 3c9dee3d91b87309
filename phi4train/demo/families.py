"""Every shard family of the demo data: its name and how its samples are made."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from itertools import chain
from random import Random

from phi4train.demo.images.handwriting import DigitImages, Handwriting, load_handwriting
from phi4train.demo.images.lines import line_samples, line_texts
from phi4train.demo.images.multi_image import multi_image_samples, video_samples, written_multi_image
from phi4train.demo.images.panel_dialogues import (
    drawn_captions,
    drawn_dialogues,
    drawn_questions,
    written_dialogues,
    written_questions,
)
from phi4train.demo.images.photos import photo_dialogues, photo_questions
from phi4train.demo.samples import DemoSample, is_held_out
from phi4train.demo.speech.sounds import au_samples
from phi4train.demo.speech.spoken import (
    asr_questions,
    asr_samples,
    ast_questions,
    ast_samples,
    sign_samples,
    sqa_samples,
    sqqa_samples,
    ssum_samples,
)
from phi4train.demo.speech.spoken_panels import spoken_panel_samples
from phi4train.demo.speech.written import written_speech, written_speech_questions
from phi4train.demo.text.arithmetic import exercise_dialogues, exercise_questions
from phi4train.demo.text.docs_questions import docs_dialogues
from phi4train.demo.text.passages import python_passages, shakespeare_passages, text_sample
from phi4train.demo.text.small_talk import small_talk

TEXT_HELD_OUT_FRACTION = 0.03
"""Share of passages and of questions about Python that is held out."""


_OfSplit = Callable[[int, Random, bool], Iterator[DemoSample]]
"""Makes so many samples of a split, the held-out one when the last argument says so."""


@dataclass(frozen=True)
class DemoSizes:
    """How many samples the generated families have.

    Running text and questions about Python have what there is.
    """

    written_panels: int = 30_000
    exercises: int = 6_000
    small_talk: int = 2_000
    captions: int = 6_000
    lines: int = 4_000
    drawn_panels: int = 24_000
    photos: int = 200
    multi_image: int = 3_000
    video: int = 1_000
    written_multi_image: int = 9_000
    asr: int = 14_000
    ast: int = 1_000
    sqa: int = 1_000
    sqqa: int = 3_000
    signs: int = 3_000
    ssum: int = 200
    sounds: int = 500
    spoken_panels: int = 4_000
    written_speech: int = 30_000
    held_out_captions: int = 400
    held_out_lines: int = 200
    held_out_per_task: int = 200
    """Drawn questions of each task."""
    held_out_per_written_task: int = 100
    """Written questions of each task, and exercises of each skill."""
    held_out_multi_image: int = 200
    """Of several images, of videos, and of the text twins of both."""
    held_out_per_language: int = 60
    """Transcripts of each language, and translations from each."""
    held_out_audio: int = 150
    """Of each other family with audio."""


@dataclass(frozen=True)
class Family:
    """Shards `<name>-<number>.tar`; `samples` makes them from the family's own random numbers."""

    name: str
    samples: Callable[[Random], Iterator[DemoSample]]


def demo_families(sizes: DemoSizes) -> tuple[Family, ...]:
    """All families, training and held out; what they share (digit images, words) is loaded once."""
    return (
        *_text_families(),
        *_dialogue_families(sizes),
        *_image_families(sizes),
        *_multi_image_families(sizes),
        *_speech_families(sizes),
        *_question_families(sizes),
    )


def training_passages() -> Iterator[str]:
    """The running text of the training split: what the tokenizer learns from, besides dialogues."""
    for passages in (_shakespeare, _python):
        yield from _split(passages(), held_out=False)


def _text_families() -> Iterator[Family]:
    for name, passages in (("shakespeare", _shakespeare), ("python_docs", _python)):
        for split, held_out in (("train", False), ("heldout", True)):
            yield Family(f"{name}-{split}", partial(_text_samples, f"text_{name}", passages, held_out))


def _text_samples(
    task: str, passages: Callable[[], tuple[str, ...]], held_out: bool, _: Random
) -> Iterator[DemoSample]:
    return (text_sample(passage, task) for passage in _split(passages(), held_out))


def _dialogue_families(sizes: DemoSizes) -> Iterator[Family]:
    per_task = sizes.held_out_per_written_task
    yield Family("written_panels-train", lambda rng: written_dialogues(sizes.written_panels, rng))
    yield Family("written_panels-heldout", lambda rng: written_questions(per_task, rng))
    yield Family("exercises-train", lambda rng: exercise_dialogues(sizes.exercises, rng))
    yield Family("exercises-heldout", lambda rng: exercise_questions(per_task, rng))
    yield Family(
        "docs_questions-train", lambda rng: docs_dialogues(rng, TEXT_HELD_OUT_FRACTION, held_out=False)
    )
    yield Family(
        "docs_questions-heldout", lambda rng: docs_dialogues(rng, TEXT_HELD_OUT_FRACTION, held_out=True)
    )
    yield Family("small_talk-train", lambda rng: small_talk(sizes.small_talk, rng))
    yield Family("written_speech-train", lambda rng: written_speech(sizes.written_speech, rng))
    yield Family("written_speech-heldout", lambda rng: written_speech_questions(per_task, rng))
    yield Family("written_multi_image-train", lambda rng: written_multi_image(sizes.written_multi_image, rng))
    yield Family(
        "written_multi_image-heldout",
        lambda rng: written_multi_image(sizes.held_out_multi_image, rng, held_out=True),
    )


def _image_families(sizes: DemoSizes) -> Iterator[Family]:
    yield Family(
        "captions-train", lambda rng: drawn_captions(sizes.captions, _digits().train, rng, held_out=False)
    )
    yield Family(
        "captions-heldout",
        lambda rng: drawn_captions(sizes.held_out_captions, _digits().held_out, rng, held_out=True),
    )
    yield Family("lines-train", lambda rng: line_samples(sizes.lines, _words(), rng, held_out=False))
    yield Family(
        "lines-heldout", lambda rng: line_samples(sizes.held_out_lines, _words(), rng, held_out=True)
    )
    yield Family("vqa-train", lambda rng: drawn_dialogues(sizes.drawn_panels, _digits().train, rng))
    yield Family("vqa-heldout", lambda rng: drawn_questions(sizes.held_out_per_task, _digits().held_out, rng))
    yield Family("photos-train", lambda rng: photo_dialogues(sizes.photos, rng))
    yield Family("photos-heldout", lambda _: photo_questions())


def _multi_image_families(sizes: DemoSizes) -> Iterator[Family]:
    return chain(
        _split_families(
            "multi_image", _with_digits(multi_image_samples), sizes.multi_image, sizes.held_out_multi_image
        ),
        _split_families("video", _with_digits(video_samples), sizes.video, sizes.held_out_multi_image),
    )


def _speech_families(sizes: DemoSizes) -> Iterator[Family]:
    yield Family("asr-train", lambda rng: asr_samples(sizes.asr, rng))
    yield Family("asr-heldout", lambda rng: asr_questions(sizes.held_out_per_language, rng))
    yield Family("ast-train", lambda rng: ast_samples(sizes.ast, rng))
    yield Family("ast-heldout", lambda rng: ast_questions(sizes.held_out_per_language, rng))


def _question_families(sizes: DemoSizes) -> Iterator[Family]:
    """Families of speech and sounds whose two splits are made by one function."""
    made = {
        "sqa": (sqa_samples, sizes.sqa),
        "sqqa": (sqqa_samples, sizes.sqqa),
        "signs": (sign_samples, sizes.signs),
        "ssum": (ssum_samples, sizes.ssum),
        "sounds": (au_samples, sizes.sounds),
        "spoken_panels": (_with_digits(spoken_panel_samples), sizes.spoken_panels),
    }
    for name, (samples, count) in made.items():
        yield from _split_families(name, samples, count, sizes.held_out_audio)


def _split_families(name: str, samples: _OfSplit, count: int, held_out_count: int) -> Iterator[Family]:
    yield Family(f"{name}-train", lambda rng: samples(count, rng, False))
    yield Family(f"{name}-heldout", lambda rng: samples(held_out_count, rng, True))


def _with_digits(samples: Callable[[int, Random, DigitImages, bool], Iterator[DemoSample]]) -> _OfSplit:
    """Gives `samples` the digit images of the split that it makes."""

    def of_split(count: int, rng: Random, held_out: bool) -> Iterator[DemoSample]:
        digits = _digits()
        return samples(count, rng, digits.held_out if held_out else digits.train, held_out)

    return of_split


@cache
def _shakespeare() -> tuple[str, ...]:
    return tuple(shakespeare_passages())


@cache
def _python() -> tuple[str, ...]:
    return tuple(python_passages())


@cache
def _digits() -> Handwriting:
    return load_handwriting()


@cache
def _words() -> tuple[str, ...]:
    return tuple(line_texts(_shakespeare()))


def _split(passages: tuple[str, ...], held_out: bool) -> Iterator[str]:
    return (text for text in passages if is_held_out(text, TEXT_HELD_OUT_FRACTION) == held_out)
