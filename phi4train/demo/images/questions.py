"""What can be asked about a panel, worded so that it fits a drawn panel and a written one alike."""

from collections.abc import Callable, Mapping
from random import Random

from phi4train.demo.images.panels import GRIDS, NUMBERS, PAIR, SINGLE, Panel
from phi4train.demo.samples import Turn

_Asker = Callable[[Panel, Random], tuple[str, str] | None]

WORDINGS: Mapping[str, tuple[str, ...]] = {
    "single": ("What digit is this?", "Which digit?"),
    "multi": ("What number is this?", "Which number?"),
    "what": ("Row {row}, column {column}?", "What is in row {row}, column {column}?"),
    "count": ("How many digits?", "Count the digits."),
    "count_digit": ("How many {digit}s?", "Count the {digit}s."),
    "where": ("Where is the {digit}?", "Find the {digit}."),
    "sum": ("What is the sum?", "Add the two digits."),
    "compare": ("Which is larger?", "What is the larger digit?"),
    "compare_yes_no": ("Is the left digit larger?", "Is left larger than right?"),
    "read": ("Read the digits.", "Which digits are there?"),
    "describe": ("Describe this.", "What do you see?"),
}
"""Paraphrases of each question, short: a dialogue's answers are what it teaches."""


def _single(panel: Panel, rng: Random) -> tuple[str, str]:
    return rng.choice(WORDINGS["single"]), str(panel.digits[0])


def _multi(panel: Panel, rng: Random) -> tuple[str, str]:
    return rng.choice(WORDINGS["multi"]), "".join(map(str, panel.digits))


def _what(panel: Panel, rng: Random) -> tuple[str, str]:
    rows, columns = panel.shape
    row, column = rng.randrange(rows), rng.randrange(columns)
    question = rng.choice(WORDINGS["what"]).format(row=row + 1, column=column + 1)
    return question, str(panel.rows[row][column])


def _count(panel: Panel, rng: Random) -> tuple[str, str]:
    return rng.choice(WORDINGS["count"]), str(len(panel.digits))


def _count_digit(panel: Panel, rng: Random) -> tuple[str, str]:
    digit = rng.choice(panel.digits) if rng.random() < 0.8 else rng.randrange(10)
    return rng.choice(WORDINGS["count_digit"]).format(digit=digit), str(panel.digits.count(digit))


def _where(panel: Panel, rng: Random) -> tuple[str, str] | None:
    unique = [place for place, digit in enumerate(panel.digits) if panel.digits.count(digit) == 1]
    if not unique:
        return None
    place = rng.choice(unique)
    row, column = divmod(place, panel.shape[1])
    question = rng.choice(WORDINGS["where"]).format(digit=panel.digits[place])
    return question, f"row {row + 1}, column {column + 1}"


def _sum(panel: Panel, rng: Random) -> tuple[str, str]:
    return rng.choice(WORDINGS["sum"]), str(sum(panel.digits))


def _compare(panel: Panel, rng: Random) -> tuple[str, str] | None:
    left, right = panel.digits
    if left == right:
        return None
    if rng.random() < 0.5:
        return rng.choice(WORDINGS["compare"]), str(max(left, right))
    return rng.choice(WORDINGS["compare_yes_no"]), "yes" if left > right else "no"


def _read(panel: Panel, rng: Random) -> tuple[str, str]:
    return rng.choice(WORDINGS["read"]), panel.as_text()


def _describe(panel: Panel, rng: Random) -> tuple[str, str]:
    return rng.choice(WORDINGS["describe"]), caption(panel)


_ASKERS: Mapping[str, tuple[_Asker, tuple[tuple[int, int], ...]]] = {
    "single": (_single, (SINGLE,)),
    "multi": (_multi, NUMBERS),
    "what": (_what, GRIDS),
    "count": (_count, (*NUMBERS, *GRIDS)),
    "count_digit": (_count_digit, GRIDS),
    "where": (_where, GRIDS),
    "sum": (_sum, (PAIR,)),
    "compare": (_compare, (PAIR,)),
    "read": (_read, (*NUMBERS, *GRIDS)),
    "describe": (_describe, (SINGLE, *NUMBERS, *GRIDS)),
}

QUESTION_TASKS = ("single", "multi", "what", "count", "count_digit", "where", "sum", "compare")
"""Tasks with a short answer, measured by exact match."""

CAPTION_TASKS = ("single", "read", "describe")
"""Tasks whose answer tells the whole panel: dense supervision for aligning an encoder."""


def shapes_of(task: str) -> tuple[tuple[int, int], ...]:
    """Shapes of the panels that `task` can be asked about."""
    return _ASKERS[task][1]


def tasks_of(shape: tuple[int, int]) -> tuple[str, ...]:
    """Tasks that can be asked about a panel of `shape`."""
    return tuple(task for task, (_, shapes) in _ASKERS.items() if shape in shapes)


def ask(task: str, panel: Panel, rng: Random) -> Turn | None:
    """A question of `task` about `panel` with its answer; None where the panel has no clear answer."""
    asked = _ASKERS[task][0](panel, rng)
    return Turn(task, *asked) if asked else None


def caption(panel: Panel) -> str:
    """A description that tells every digit and its place."""
    rows, columns = panel.shape
    if panel.shape == SINGLE:
        return f"A handwritten {panel.digits[0]}."
    if rows == 1:
        return f"The digits {panel.as_text()} in a row."
    lines = [f"Row {number}: {' '.join(map(str, row))}." for number, row in enumerate(panel.rows, 1)]
    return f"A grid of {rows} rows and {columns} columns. " + " ".join(lines)
