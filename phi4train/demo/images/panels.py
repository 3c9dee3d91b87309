"""Panels: one digit, a number of two or three digits, or a small grid."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

CELL_PIXELS = 16
"""Side of a digit's cell, in every panel: what is learned of a digit in one shape serves in all others.

At the demo geometry (crop 48, patch 8) a cell is exactly one merged image token."""

FILLER = "~"
"""How an empty cell is written, and a stretch of a clip in which no word is heard."""

PANEL_COLUMNS = 3
"""Columns of every image; narrower panels leave white on the right, so that no image is scaled up."""

SINGLE = (1, 1)
PAIR = (1, 2)
NUMBERS = ((1, 2), (1, 3))
GRIDS = ((2, 2), (2, 3), (3, 3))


@dataclass(frozen=True)
class Panel:
    """Digits in rows of equal length."""

    rows: tuple[tuple[int, ...], ...]

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return len(self.rows), len(self.rows[0])

    @property
    def digits(self) -> tuple[int, ...]:
        """All digits in reading order."""
        return tuple(digit for row in self.rows for digit in row)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels when drawn."""
        return PANEL_COLUMNS * CELL_PIXELS, self.shape[0] * CELL_PIXELS

    def as_layout(self) -> str:
        """Digits where the image's tokens have them: one character a token of the demo geometry.

        Rows of `PANEL_COLUMNS` cells with a line break for each row separator, `=` for the separator before
        the global view, and the global view, which is always square; `~` is an empty cell.
        """
        rows = ["".join(map(str, row)).ljust(PANEL_COLUMNS, FILLER) + "\n" for row in self.rows]
        empty = [FILLER * PANEL_COLUMNS + "\n"] * (PANEL_COLUMNS - len(rows))
        return "".join([*rows, "=", *rows, *empty])

    def as_text(self) -> str:
        """Digits apart by spaces, one line a row."""
        return "\n".join(" ".join(map(str, row)) for row in self.rows)


def panel_of(digits: Sequence[int], shape: tuple[int, int]) -> Panel:
    """The panel that reads `digits` in rows of `shape[1]`."""
    rows, columns = shape
    assert len(digits) == rows * columns, "a panel is full"
    return Panel(tuple(tuple(digits[row * columns : (row + 1) * columns]) for row in range(rows)))


def draw_panel(shape: tuple[int, int], rng: Random) -> Panel:
    """A random panel; every second one repeats few digits, so that counting has something to count."""
    rows, columns = shape
    palette = range(10) if rng.random() < 0.5 else rng.sample(range(10), 4)
    return panel_of([rng.choice(palette) for _ in range(rows * columns)], shape)
