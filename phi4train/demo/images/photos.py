"""scikit-learn's two photographs, a tower and a flower: many crops an image."""

import io
from collections.abc import Iterator
from random import Random

from PIL import Image

from phi4train.demo.samples import DemoSample, Turn, dialogue

PHOTO_SIZE = (160, 107)
"""(width, height) in pixels: 4 x 3 crops of 48 pixels, 117 tokens."""

_ZOOM = 0.85
"""Smallest share of a side that a training variant shows."""

_DESCRIBE = "Describe the photo."

_SUBJECTS = {
    "china": (
        Turn("photo", _DESCRIBE, "A Chinese tower with curved roofs above a misty lake."),
        Turn("photo", "What is in the photo?", "a tower"),
        Turn("photo", "Is this a flower or a building?", "a building"),
        Turn("photo", "Is there a flower?", "no"),
    ),
    "flower": (
        Turn("photo", _DESCRIBE, "An orange flower in front of dark green leaves."),
        Turn("photo", "What is in the photo?", "a flower"),
        Turn("photo", "Is this a flower or a building?", "a flower"),
        Turn("photo", "Is there a flower?", "yes"),
    ),
}


def photo_dialogues(count: int, rng: Random) -> Iterator[DemoSample]:
    """Training dialogues about randomly cropped and mirrored views of both photographs."""
    photos = _load_photos()
    for _ in range(count):
        name = rng.choice(sorted(photos))
        width, height = photos[name].size
        share = rng.uniform(_ZOOM, 1.0)
        left, top = rng.uniform(0, (1 - share) * width), rng.uniform(0, (1 - share) * height)
        view = photos[name].resize(PHOTO_SIZE, box=(left, top, left + share * width, top + share * height))
        if rng.random() < 0.5:
            view = view.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        turns = rng.sample(_SUBJECTS[name], rng.randint(1, 3))
        yield dialogue(turns, "photo", image=_png(view))


def photo_questions() -> Iterator[DemoSample]:
    """Every question about both whole photographs: views that training does not show."""
    for name, photo in sorted(_load_photos().items()):
        for turn in _SUBJECTS[name]:
            is_measured = turn.question != _DESCRIBE
            yield dialogue([turn], "photo", image=_png(photo.resize(PHOTO_SIZE)), is_measured=is_measured)


def _load_photos() -> dict[str, Image.Image]:
    from sklearn.datasets import load_sample_image

    return {name: Image.fromarray(load_sample_image(f"{name}.jpg")) for name in _SUBJECTS}


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
