"""Every shard family of the demo data: its name and how its samples are made."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from random import Random

from phi4train.demo.arithmetic import exercise_dialogues, exercise_questions
from phi4train.demo.docs_questions import docs_dialogues
from phi4train.demo.handwriting import Handwriting, load_handwriting
from phi4train.demo.lines import line_samples, line_texts
from phi4train.demo.panel_dialogues import (
    drawn_captions,
    drawn_dialogues,
    drawn_questions,
    written_dialogues,
    written_questions,
)
from phi4train.demo.passages import python_passages, shakespeare_passages, text_sample
from phi4train.demo.photos import photo_dialogues, photo_questions
from phi4train.demo.samples import DemoSample, is_held_out
from phi4train.demo.small_talk import small_talk

TEXT_HELD_OUT_FRACTION = 0.03
"""Share of passages and of questions about Python that is held out."""


@dataclass(frozen=True)
class DemoSizes:
    """How many samples the generated families have.

    Running text and questions about Python have what there is.
    """

    written_panels: int = 14_000
    exercises: int = 8_000
    small_talk: int = 2_000
    captions: int = 16_000
    lines: int = 4_000
    drawn_panels: int = 20_000
    photos: int = 200
    held_out_captions: int = 400
    held_out_lines: int = 200
    held_out_per_task: int = 200
    """Drawn questions of each task."""
    held_out_per_written_task: int = 100
    """Written questions of each task, and exercises of each skill."""


@dataclass(frozen=True)
class Family:
    """Shards `<name>-<number>.tar`; `samples` makes them from the family's own random numbers."""

    name: str
    samples: Callable[[Random], Iterator[DemoSample]]


def demo_families(sizes: DemoSizes) -> tuple[Family, ...]:
    """All families, training and held out; what they share (digit images, words) is loaded once."""
    return (*_text_families(), *_dialogue_families(sizes), *_image_families(sizes))


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
