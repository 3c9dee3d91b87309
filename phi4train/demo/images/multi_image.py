"""Questions about several images in one turn: pictures side by side, and frames one after the other.

"<image><image>Which image shows the larger number?"   -> "2"
"<frame><frame><frame>Do the digits rise or fall?"      -> "rise"
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from PIL import Image

from phi4train.demo.images.handwriting import SOURCE_PIXELS, DigitImages, draw_png
from phi4train.demo.images.panels import FILLER, PAIR, PANEL_COLUMNS, SINGLE, Panel, panel_of
from phi4train.demo.samples import DemoSample, Turn, dialogue, is_held_out, record_of

HELD_OUT_FRACTION = 0.1
"""Share of all written sequences that only held-out samples may use."""

MAX_IMAGES = 4
FRAMES = (3, 4)
FRAMES_PER_SECOND = 1.0

WORDINGS: Mapping[str, tuple[str, ...]] = {
    "mi_larger": ("Which image shows the larger number?", "Which image has the larger number?"),
    "mi_same": ("Do both images show the same digit?", "Is it the same digit twice?"),
    "mi_count": ("How many images show a {digit}?", "Count the images with a {digit}."),
    "mi_which": ("Which image shows the {digit}?", "Find the image with the {digit}."),
    "video_last": ("Which digit comes last?", "What is the last digit?"),
    "video_trend": ("Do the digits rise or fall?", "Is it rising or falling?"),
    "video_move": ("Does the digit move left or right?", "Where does the digit move?"),
}
"""Paraphrases of each question."""

MULTI_IMAGE_TASKS = tuple(task for task in WORDINGS if task.startswith("mi_"))
VIDEO_TASKS = tuple(task for task in WORDINGS if task.startswith("video_"))

WEIGHTS: Mapping[str, float] = {
    "mi_larger": 3.0,
    "mi_same": 1.0,
    "mi_count": 0.5,
    "mi_which": 0.5,
    "video_last": 1.0,
    "video_trend": 0.5,
    "video_move": 0.5,
}
"""How often each task is drawn for training, compared to the others; held-out samples take turns."""

_FEW_FORMS = ("mi_same", "video_move")
"""Tasks whose written sequences are too few to hold any out."""

_EMPTY = -1
"""A cell of a panel without a digit."""


@dataclass(frozen=True)
class PanelsQuestion:
    """Panels in order, a question about them, and its answer."""

    task: str
    panels: tuple[Panel, ...]
    prompt: str
    answer: str

    @property
    def turn(self) -> Turn:
        """The question without its panels, and the answer."""
        return Turn(self.task, self.prompt, self.answer)

    @property
    def layout(self) -> str:
        """The panels one after the other, as `Panel.as_layout` writes each."""
        return "".join(panel.as_layout().replace(str(_EMPTY), FILLER) for panel in self.panels)


def multi_image_samples(count: int, rng: Random, images: DigitImages, held_out: bool) -> Iterator[DemoSample]:
    """Two to four images in a turn, tasks `mi_<task>`.

    Args:
        images: of the split; held-out samples are drawn without augmentation.
    """
    return _drawn(MULTI_IMAGE_TASKS, count, rng, images, held_out)


def video_samples(count: int, rng: Random, images: DigitImages, held_out: bool) -> Iterator[DemoSample]:
    """Three or four frames in a turn, tasks `video_<task>`; see `multi_image_samples`."""
    return _drawn(VIDEO_TASKS, count, rng, images, held_out)


def written_multi_image(count: int, rng: Random, held_out: bool = False) -> Iterator[DemoSample]:
    """The text twins of all tasks, images and frames alike: panels stand as text; task `text_<task>`.

    Tasks with few written forms are never held out, so they are not measured either.
    """
    tasks = tuple(WORDINGS) if not held_out else tuple(task for task in WORDINGS if task not in _FEW_FORMS)
    for task in _tasks(tasks, count, rng, held_out):
        asked = _draw(task, rng)
        while _is_held_out(asked) != held_out:
            asked = _draw(asked.task, rng)
        yield dialogue([asked.turn], f"text_{asked.task}", asked.layout, is_measured=held_out)


def _is_held_out(asked: PanelsQuestion) -> bool:
    return asked.task not in _FEW_FORMS and is_held_out(asked.layout, HELD_OUT_FRACTION)


def _drawn(
    tasks: Sequence[str], count: int, rng: Random, images: DigitImages, held_out: bool
) -> Iterator[DemoSample]:
    blank = Image.new("L", (SOURCE_PIXELS, SOURCE_PIXELS), 0)
    with_blank = {**images, _EMPTY: [blank]}
    for task in _tasks(tasks, count, rng, held_out):
        asked = _draw(task, rng)
        pictures = [draw_png(panel, with_blank, rng, augment=not held_out) for panel in asked.panels]
        media = {f"{place}.png": picture for place, picture in enumerate(pictures)}
        shown: list[dict[str, Any]] = [{"type": "image", "image": member} for member in media]
        if asked.task in VIDEO_TASKS:
            shown = [{"type": "video", "frames": list(media), "fps": FRAMES_PER_SECOND}]
        content = [*shown, {"type": "text", "text": asked.prompt}]
        yield DemoSample(record_of(content, [asked.turn], asked.task, is_measured=held_out), media)


def _tasks(tasks: Sequence[str], count: int, rng: Random, held_out: bool) -> list[str]:
    if held_out:
        return [tasks[number % len(tasks)] for number in range(count)]
    return rng.choices(tasks, [WEIGHTS[task] for task in tasks], k=count)


def _draw(task: str, rng: Random) -> PanelsQuestion:
    panels, answer, digit = _MAKERS[task](rng)
    return PanelsQuestion(task, panels, rng.choice(WORDINGS[task]).format(digit=digit), answer)


_Asked = tuple[tuple[Panel, ...], str, int | None]
"""Panels, the answer, the digit that the question names."""


def _larger(rng: Random) -> _Asked:
    shape, fewest, most = rng.choice(((SINGLE, 0, 9), (PAIR, 10, 99)))
    numbers = rng.sample(range(fewest, most + 1), rng.randint(2, 3))
    panels = tuple(panel_of([int(digit) for digit in str(number)], shape) for number in numbers)
    return panels, str(numbers.index(max(numbers)) + 1), None


def _same(rng: Random) -> _Asked:
    first, other = rng.sample(range(10), 2)
    is_same = rng.random() < 0.5
    return _singles([first, first if is_same else other]), "yes" if is_same else "no", None


def _count(rng: Random) -> _Asked:
    palette = rng.sample(range(10), 3)
    digits = [rng.choice(palette) for _ in range(rng.randint(2, MAX_IMAGES))]
    digit = rng.choice(palette)
    return _singles(digits), str(digits.count(digit)), digit


def _which(rng: Random) -> _Asked:
    digits = rng.sample(range(10), rng.randint(2, MAX_IMAGES))
    place = rng.randrange(len(digits))
    return _singles(digits), str(place + 1), digits[place]


def _last(rng: Random) -> _Asked:
    digits = [rng.randrange(10) for _ in range(rng.choice(FRAMES))]
    return _singles(digits), str(digits[-1]), None


def _trend(rng: Random) -> _Asked:
    digits = sorted(rng.sample(range(10), rng.choice(FRAMES)))
    rises = rng.random() < 0.5
    return _singles(digits if rises else digits[::-1]), "rise" if rises else "fall", None


def _move(rng: Random) -> _Asked:
    digit, columns = rng.randrange(10), list(range(PANEL_COLUMNS))
    is_right = rng.random() < 0.5
    rows = [[digit if cell == column else _EMPTY for cell in columns] for column in columns]
    frames = tuple(panel_of(row, (1, PANEL_COLUMNS)) for row in (rows if is_right else rows[::-1]))
    return frames, "right" if is_right else "left", None


def _singles(digits: Sequence[int]) -> tuple[Panel, ...]:
    return tuple(panel_of([digit], SINGLE) for digit in digits)


_MAKERS: Mapping[str, Callable[[Random], _Asked]] = {
    "mi_larger": _larger,
    "mi_same": _same,
    "mi_count": _count,
    "mi_which": _which,
    "video_last": _last,
    "video_trend": _trend,
    "video_move": _move,
}
