"""Rendered text lines with their transcription, set in the font that Pillow carries."""

import io
import re
from collections.abc import Iterator, Sequence
from random import Random

from PIL import Image, ImageDraw, ImageFont

from phi4train.demo.samples import DemoSample, Turn, dialogue, is_held_out

LINE_SIZE = (96, 24)
"""(width, height) of a line in pixels: two crops, 39 tokens, room for about twelve letters."""

HELD_OUT_FRACTION = 0.05
"""Share of all line texts that only held-out samples may use."""

_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_FONT_SIZES = (12, 13, 14)
_MARGIN = 2
_WORDINGS = ("Read the text.", "What does the text say?", "Transcribe the line.")


def line_texts(passages: Sequence[str]) -> list[str]:
    """The distinct words of three to ten letters in the passages, sorted."""
    words = {word for passage in passages for word in re.findall(r"[A-Za-z]{3,10}", passage)}
    return sorted(words)


def line_samples(count: int, words: Sequence[str], rng: Random, held_out: bool) -> Iterator[DemoSample]:
    """Images of one line each: a word, two short ones, or digits; task `ocr_line`."""
    fonts = [ImageFont.load_default(size) for size in _FONT_SIZES]
    for _ in range(count):
        font = fonts[1] if held_out else rng.choice(fonts)
        text = _draw_text(words, font, rng, held_out)
        turn = Turn("line", rng.choice(_WORDINGS), text)
        yield dialogue([turn], "ocr_line", image=_render(text, font, rng), is_measured=held_out)


def _draw_text(words: Sequence[str], font: _Font, rng: Random, held_out: bool) -> str:
    while True:
        if rng.random() < 0.3:
            text = "".join(str(rng.randrange(10)) for _ in range(rng.randint(2, 6)))
        else:
            text = " ".join(rng.choice(words) for _ in range(rng.randint(1, 2)))
        fits = font.getbbox(text)[2] <= LINE_SIZE[0] - 2 * _MARGIN
        if fits and is_held_out(f"line {text}", HELD_OUT_FRACTION) == held_out:
            return text


def _render(text: str, font: _Font, rng: Random) -> bytes:
    """PNG of the text in black on white, at a random place inside the line."""
    image = Image.new("L", LINE_SIZE, 255)
    _, _, right, bottom = font.getbbox(text)
    x = rng.randint(_MARGIN, int(LINE_SIZE[0] - _MARGIN - right))
    y = rng.randint(0, max(0, int(LINE_SIZE[1] - bottom)))
    ImageDraw.Draw(image).text((x, y), text, fill=0, font=font)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
