"""Every answer follows from the panel, and drawn and written panels are asked alike."""

import re
from random import Random

import pytest

from phi4train.demo.images.panels import GRIDS, NUMBERS, SINGLE, Panel, draw_panel, panel_of
from phi4train.demo.images.questions import CAPTION_TASKS, QUESTION_TASKS, ask, caption, shapes_of, tasks_of

SHAPES = (SINGLE, *NUMBERS, *GRIDS)
CASES = [(task, shape) for task in (*QUESTION_TASKS, "read", "describe") for shape in shapes_of(task)]


def solve(question: str, panel: Panel) -> str:
    """The answer, worked out from the question's words alone."""
    text, digits = panel.as_text(), [int(word) for word in panel.as_text().split()]
    asked = [int(number) for number in re.findall(r"\d", question)]
    lowered = question.lower()
    if re.search(r"row \d", lowered):
        return text.split("\n")[asked[0] - 1].split()[asked[1] - 1]
    if "how many" in lowered or lowered.startswith("count"):
        return str(text.count(str(asked[0])) if asked else len(digits))
    if "where" in lowered or "find" in lowered or "in which row" in lowered:
        rows = [row.split() for row in text.split("\n")]
        [(row, column)] = [
            (r, c) for r, line in enumerate(rows) for c, d in enumerate(line) if d == str(asked[0])
        ]
        return f"row {row + 1}, column {column + 1}"
    if "add" in lowered or "sum" in lowered:
        return str(digits[0] + digits[1])
    if "left" in lowered:
        return "yes" if digits[0] > digits[1] else "no"
    if "larger" in lowered:
        return str(max(digits))
    return "".join(text.split())


@pytest.mark.parametrize(("task", "shape"), [case for case in CASES if case[0] in QUESTION_TASKS])
def test_an_answer_is_what_the_question_asks_for(task: str, shape: tuple[int, int]) -> None:
    rng, asked = Random(1), 0
    for _ in range(200):
        panel = draw_panel(shape, rng)
        turn = ask(task, panel, rng)
        if turn is not None:
            assert solve(turn.question, panel) == turn.answer, (panel, turn)
            asked += 1
    assert asked > 100


@pytest.mark.parametrize("shape", SHAPES)
def test_a_caption_tells_every_digit_in_reading_order(shape: tuple[int, int]) -> None:
    panel = draw_panel(shape, Random(2))
    told = re.sub(r"grid of \d rows and \d columns|Row \d", "", caption(panel))
    assert [int(digit) for digit in re.findall(r"\d", told)] == list(panel.digits)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_has_questions_and_captions(shape: tuple[int, int]) -> None:
    tasks = set(tasks_of(shape))
    assert tasks & set(QUESTION_TASKS)
    assert tasks & set(CAPTION_TASKS)


def test_a_question_without_one_right_answer_is_not_asked() -> None:
    assert ask("where", panel_of([3, 3, 3, 3], (2, 2)), Random(0)) is None
    assert ask("compare", panel_of([4, 4], (1, 2)), Random(0)) is None
