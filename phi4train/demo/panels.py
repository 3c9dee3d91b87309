"""Panels: one digit, a number of up to four digits, or a small grid."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

CELL_PIXELS = {
    (1, 1): 48,
    (1, 2): 24,
    (1, 3): 16,
    (1, 4): 24,
    (2, 2): 24,
    (2, 3): 16,
    (3, 3): 16,
}
"""Side of a digit's cell by (rows, columns).

Everything but the four-digit number fits into one 48-pixel crop, so an image costs 31 to 41 tokens. The
number of four digits is two crops, each of which looks like a number of two (39 tokens; at one crop its
digits would have 12 pixels). 72 x 24 for three digits would be scaled up to 96 x 32 (48 tokens)."""

SINGLE = (1, 1)
PAIR = (1, 2)
NUMBERS = ((1, 2), (1, 3), (1, 4))
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
        rows, columns = self.shape
        cell = CELL_PIXELS[self.shape]
        return columns * cell, rows * cell

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
