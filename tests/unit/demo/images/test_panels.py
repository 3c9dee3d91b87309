"""A panel reads the same drawn, written and laid out."""

from random import Random

import pytest

from phi4train.data.media.images import ImageGeometry
from phi4train.demo.images.panels import (
    CELL_PIXELS,
    GRIDS,
    NUMBERS,
    PANEL_COLUMNS,
    SINGLE,
    draw_panel,
    panel_of,
)

GEOMETRY = ImageGeometry(crop_size=48, patch_size=8, max_crops=16)


@pytest.mark.parametrize("shape", (SINGLE, *NUMBERS, *GRIDS))
def test_a_written_panel_has_a_character_where_its_image_has_a_token(shape: tuple[int, int]) -> None:
    panel = draw_panel(shape, Random(0))
    layout = panel.as_layout()
    assert len(layout) == GEOMETRY.num_image_tokens(*panel.size)
    sub_crop, global_view = layout.split("=")
    digits = [int(c) for c in sub_crop if c.isdigit()]
    assert tuple(digits) == panel.digits
    assert global_view.startswith(sub_crop)


@pytest.mark.parametrize("shape", (SINGLE, *NUMBERS, *GRIDS))
def test_a_panel_has_its_shape_and_reads_back_from_its_digits_and_its_text(shape: tuple[int, int]) -> None:
    for seed in range(20):
        panel = draw_panel(shape, Random(seed))
        assert panel.shape == shape and len(panel.digits) == shape[0] * shape[1]
        assert panel_of(panel.digits, shape) == panel
        rows = [line.split() for line in panel.as_text().split("\n")]
        assert tuple(tuple(map(int, row)) for row in rows) == panel.rows


def test_different_panels_of_a_size_are_written_differently() -> None:
    panels = {draw_panel((2, 2), Random(seed)) for seed in range(200)}
    assert (
        len({panel.as_layout() for panel in panels})
        == len({panel.as_text() for panel in panels})
        == len(panels)
    )


def test_all_panels_are_as_wide_and_a_panel_must_be_full() -> None:
    sizes = {draw_panel(shape, Random(0)).size for shape in (SINGLE, *NUMBERS, *GRIDS)}
    assert {width for width, _ in sizes} == {PANEL_COLUMNS * CELL_PIXELS}
    assert {height // CELL_PIXELS for _, height in sizes} == {1, 2, 3}
    with pytest.raises(AssertionError, match="a panel is full"):
        panel_of([1, 2, 3], (2, 2))


def test_every_second_panel_repeats_few_digits() -> None:
    kinds = [len(set(draw_panel((3, 3), Random(seed)).digits)) for seed in range(300)]
    assert 0.4 < sum(kind <= 4 for kind in kinds) / 300 < 0.7
