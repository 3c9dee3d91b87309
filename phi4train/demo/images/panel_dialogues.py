"""Dialogues about panels, drawn or written: the same panels, questions and answers in two forms."""

from collections.abc import Iterator, Mapping, Sequence
from random import Random

from phi4train.demo.images.handwriting import DigitImages, draw_png
from phi4train.demo.images.panels import GRIDS, NUMBERS, PAIR, SINGLE, Panel, draw_panel
from phi4train.demo.images.questions import CAPTION_TASKS, QUESTION_TASKS, ask, shapes_of, tasks_of
from phi4train.demo.samples import DemoSample, Turn, dialogue, is_held_out

WRITTEN_HELD_OUT_FRACTION = 0.1
"""Share of all written panels of two or more digits that only held-out samples may use."""

TURNS = (2, 5)
"""Fewest and most questions that are drawn for a training dialogue: many share the cost of one image."""

TASK_WEIGHTS: Mapping[str, float] = {
    "single": 1.0,
    "multi": 1.5,
    "what": 0.7,
    "count": 1.0,
    "count_digit": 0.5,
    "where": 0.2,
    "sum": 2.0,
    "compare": 1.5,
    "read": 0.5,
    "describe": 0.15,
}
"""How often each question is drawn, compared to the others that fit a panel."""

SHAPES = (SINGLE, PAIR, PAIR, *NUMBERS, *GRIDS, *GRIDS)
"""Shapes of training panels in the frequency in which they are drawn."""

CAPTION_SHAPES = (SINGLE, *NUMBERS, *GRIDS, (3, 3), (3, 3))
"""Shapes of captioned panels: full grids teach an encoder most for the tokens they take."""


def drawn_dialogues(count: int, images: DigitImages, rng: Random) -> Iterator[DemoSample]:
    """Training dialogues over one image each, with up to `TURNS[1]` questions."""
    for _ in range(count):
        panel = draw_panel(rng.choice(SHAPES), rng)
        turns = _several_turns(panel, _questions(panel), rng)
        image = draw_png(panel, images, rng, augment=True)
        yield dialogue(turns, task=f"vqa_{_kind(panel)}", image=image, reading=panel.as_layout())


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
        reading = None if held_out else panel.as_layout()
        yield dialogue([turn], f"caption_{_kind(panel)}", "", image, reading, is_measured)


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
    """Up to `TURNS[1]` different questions about the panel."""
    turns: dict[str, Turn] = {}
    weights = [TASK_WEIGHTS[task] for task in tasks]
    for task in rng.choices(tasks, weights, k=rng.randint(*TURNS)):
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
