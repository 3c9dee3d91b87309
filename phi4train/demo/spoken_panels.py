"""Drawn panels with spoken questions: the image, the clip, and no text."""

from collections.abc import Iterator
from random import Random

from phi4train.demo.handwriting import DigitImages, draw_png
from phi4train.demo.panels import Panel, draw_panel
from phi4train.demo.questions import QUESTION_TASKS, ask, shapes_of
from phi4train.demo.samples import DemoSample, Turn
from phi4train.demo.speech_clips import audio_sample, spoken_clip
from phi4train.demo.speech_words import spoken_numbers


def spoken_panel_samples(
    count: int, rng: Random, images: DigitImages, held_out: bool
) -> Iterator[DemoSample]:
    """One spoken question about one panel; task `vs_<task>`, all tasks equally often.

    Args:
        images: of the split.
    """
    for number in range(count):
        panel, turn = draw_question(QUESTION_TASKS[number % len(QUESTION_TASKS)], rng)
        clip = spoken_clip(spoken_numbers(turn.question), "en", rng, held_out)
        image = draw_png(panel, images, rng, augment=not held_out)
        yield audio_sample(clip, "", turn.answer, f"vs_{turn.task}", "en", image, is_measured=held_out)


def draw_question(task: str, rng: Random) -> tuple[Panel, Turn]:
    """A random panel with a question of `task` that it answers."""
    while True:
        panel = draw_panel(rng.choice(shapes_of(task)), rng)
        turn = ask(task, panel, rng)
        if turn is not None:
            return panel, turn
