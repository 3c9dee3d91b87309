"""Drawn panels with spoken questions: the image, the clip, and no text."""

import re
from collections.abc import Iterator, Mapping
from random import Random

from phi4train.demo.images.handwriting import DigitImages, draw_png
from phi4train.demo.images.panels import Panel, draw_panel
from phi4train.demo.images.questions import WORDINGS, ask, shapes_of
from phi4train.demo.samples import DemoSample, Turn
from phi4train.demo.speech.clips import audio_sample, spoken_clip
from phi4train.demo.speech.exchanges import TRANSCRIBE
from phi4train.demo.speech.words import spoken_numbers

SPOKEN_TASKS = ("single", "multi", "what", "count", "sum", "compare")
"""Questions about panels that are spoken."""

PANEL_SYMBOLS: Mapping[str, str] = {
    "single": "?",
    "multi": "&",
    "what": ",",
    "count": "@",
    "sum": "+",
    "compare": ">",
    "compare_yes_no": "<",
}
"""How the spoken question about a panel is written, before its numbers."""


def spoken_panel_samples(
    count: int, rng: Random, images: DigitImages, held_out: bool
) -> Iterator[DemoSample]:
    """One spoken question about one panel; task `vs_<task>`, all tasks equally often.

    Args:
        images: of the split.
    """
    for number in range(count):
        panel, turn = draw_question(SPOKEN_TASKS[number % len(SPOKEN_TASKS)], rng)
        clip = spoken_clip(spoken_numbers(turn.question), "en", rng, held_out)
        image = draw_png(panel, images, rng, augment=not held_out)
        yield audio_sample(clip, "", turn.answer, f"vs_{turn.task}", "en", image, is_measured=held_out)


def spoken_question_sample(rng: Random, held_out: bool) -> DemoSample:
    """A question about panels, without any, whose transcript is its signs; task `signs`."""
    _, turn = draw_question(rng.choice(SPOKEN_TASKS), rng)
    clip = spoken_clip(spoken_numbers(turn.question), "en", rng, held_out)
    return audio_sample(
        clip, TRANSCRIBE, "".join(question_symbols(turn)), "signs", "en", is_measured=held_out
    )


def question_symbols(turn: Turn) -> tuple[str, ...]:
    """How the spoken question of a turn about a panel is written: its sign, then its numbers."""
    kind = "compare_yes_no" if turn.question in WORDINGS["compare_yes_no"] else turn.task
    return PANEL_SYMBOLS[kind], *re.findall(r"\d", turn.question)


def draw_question(task: str, rng: Random) -> tuple[Panel, Turn]:
    """A random panel with a question of `task` that it answers."""
    while True:
        panel = draw_panel(rng.choice(shapes_of(task)), rng)
        turn = ask(task, panel, rng)
        if turn is not None:
            return panel, turn
