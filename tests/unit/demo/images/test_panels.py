"""A panel reads the same drawn, written and laid out."""

from random import Random

import pytest

from phi4train.data.media.images import ImageGeometry
from phi4train.demo.images.panels import GRIDS, NUMBERS, SINGLE, draw_panel

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
