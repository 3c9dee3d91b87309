"""Dialogues about panels, drawn or written: the same panels, questions and answers in two forms."""

from collections.abc import Iterator, Sequence
from random import Random

from phi4train.demo.handwriting import DigitImages, draw_png
from phi4train.demo.panels import GRIDS, NUMBERS, PAIR, SINGLE, Panel, draw_panel
from phi4train.demo.questions import CAPTION_TASKS, QUESTION_TASKS, ask, shapes_of, tasks_of
from phi4train.demo.samples import DemoSample, Turn, dialogue, is_held_out

WRITTEN_HELD_OUT_FRACTION = 0.1
"""Share of all written panels of two or more digits that only held-out samples may use."""

MAX_TURNS = 4
"""Question and answer pairs of a training dialogue: many share the cost of one image."""

LONG_ANSWER_WEIGHT = 0.4
"""How often a question with a long answer (all digits, a caption) is asked, compared to a short one."""

SHAPES = (SINGLE, PAIR, *NUMBERS, *GRIDS, *GRIDS)
"""Shapes of training panels in the frequency in which they are drawn."""

CAPTION_SHAPES = (SINGLE, *NUMBERS, *GRIDS, (3, 3), (3, 3))
"""Shapes of captioned panels: full grids teach an encoder most for the tokens they take."""


def drawn_dialogues(count: int, images: DigitImages, rng: Random) -> Iterator[DemoSample]:
    """Training dialogues over one image each, with up to `MAX_TURNS` questions."""
    for _ in range(count):
        panel = draw_panel(rng.choice(SHAPES), rng)
        turns = _several_turns(panel, _questions(panel), rng)
        yield dialogue(turns, task=f"vqa_{_kind(panel)}", image=draw_png(panel, images, rng, augment=True))


def drawn_questions(count_per_task: int, images: DigitImages, rng: Random) -> Iterator[DemoSample]:
    """Held-out samples: one image, one question; task `vqa_<task>`."""
    for task in QUESTION_TASKS:
        for _ in range(count_per_task):
            panel, turn = _askable(task, rng)
            image = draw_png(panel, images, rng, augment=False)
            yield dialogue([turn], task=f"vqa_{task}", image=image, is_measured=True)


def drawn_captions(count: int, images: DigitImages, rng: Random, held_out: bool) -> Iterator[DemoSample]:
    """One image with one answer that tells the whole panel; task `caption_<kind>`."""
    for _ in range(count):
        panel = draw_panel(rng.choice(CAPTION_SHAPES), rng)
        tasks = [task for task in tasks_of(panel.shape) if task in CAPTION_TASKS]
        weights = [0.25 if task == "describe" else 1.0 for task in tasks]
        (task,) = rng.choices(tasks, weights)
        turn = ask(task, panel, rng)
        assert turn is not None, "every panel can be read and described"
        image = draw_png(panel, images, rng, augment=not held_out)
        is_measured = held_out and turn.task != "describe"
        yield dialogue([turn], task=f"caption_{_kind(panel)}", image=image, is_measured=is_measured)


def written_dialogues(count: int, rng: Random) -> Iterator[DemoSample]:
    """The twins of `drawn_dialogues`: the panel stands as text where the image's tokens would be."""
    for _ in range(count):
        panel = draw_panel(rng.choice(SHAPES), rng)
        while is_held_out_panel(panel):
            panel = draw_panel(panel.shape, rng)
        turns = _several_turns(panel, tasks_of(panel.shape), rng)
        yield dialogue(turns, task=f"text_{_kind(panel)}", context=panel.as_layout())


def written_questions(count_per_task: int, rng: Random) -> Iterator[DemoSample]:
    """Held-out twins, task `text_<task>`; a written single digit has only ten forms, so none is held out."""
    for task in QUESTION_TASKS:
        for _ in range(count_per_task if task != "single" else 0):
            panel, turn = _askable(task, rng, held_out=True)
            yield dialogue([turn], task=f"text_{task}", context=panel.as_layout(), is_measured=True)


def is_held_out_panel(panel: Panel) -> bool:
    """Whether this written panel belongs to the held-out split."""
    return panel.shape != SINGLE and is_held_out(panel.as_text(), WRITTEN_HELD_OUT_FRACTION)


def _questions(panel: Panel) -> list[str]:
    return [task for task in tasks_of(panel.shape) if task in QUESTION_TASKS or task == "read"]


def _several_turns(panel: Panel, tasks: Sequence[str], rng: Random) -> list[Turn]:
    """One to `MAX_TURNS` different questions about the panel."""
    turns: dict[str, Turn] = {}
    weights = [1.0 if task in QUESTION_TASKS else LONG_ANSWER_WEIGHT for task in tasks]
    for task in rng.choices(tasks, weights, k=rng.randint(1, MAX_TURNS)):
        turn = ask(task, panel, rng)
        if turn is not None:
            turns.setdefault(turn.question, turn)
    return list(turns.values()) or _several_turns(panel, tasks, rng)


def _askable(task: str, rng: Random, held_out: bool = False) -> tuple[Panel, Turn]:
    """A random panel about which `task` can be asked, with the question."""
    while True:
        panel = draw_panel(rng.choice(shapes_of(task)), rng)
        if held_out and not is_held_out_panel(panel):
            continue
        turn = ask(task, panel, rng)
        if turn is not None:
            return panel, turn


def _kind(panel: Panel) -> str:
    if panel.shape == SINGLE:
        return "single"
    return "number" if panel.shape in NUMBERS else "grid"
