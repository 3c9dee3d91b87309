"""Untrusted bytes as upright RGB images: their size from the header, then their pixels, in bounded memory."""

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
from PIL import ExifTags, Image

from phi4train.data.media.silence import silent_stderr
from phi4train.errors import SampleError

logging.getLogger("PIL.TiffImagePlugin").disabled = True  # it logs the errors that it raises

_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "PPM", "TIFF")  # plain decoders; EPS would run ghostscript
_TRANSPOSE_OF_ORIENTATION = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SWAPS_SIDES = (5, 6, 7, 8)
_TIFF_MAGIC = (b"II", b"MM")
_MAX_WEBP_PIXELS = 2**26  # libwebp takes 15 bytes a pixel, twice what the other decoders do
STRIP_PIXELS = 2**22
"""Of a larger image not all is held in a second form at once."""


def image_size(data: bytes) -> tuple[int, int]:
    """(width, height) in pixels as open_image would return it, read from the header alone.

    Raises:
        SampleError: cause `broken_image`; `image_too_large` beyond 179 megapixels, of a WebP file beyond 67.
    """
    with _quiet(data):
        image = _open_header(data)
        return _upright_size(image.size, _orientation(image))


def open_image(data: bytes, max_pixels: int) -> Image.Image:
    """The decoded first frame in RGB: upright, transparency on white, 16-bit grey scaled to 8.

    Upright as EXIF says or, where that says nothing, XMP; of a PNG what stands before the pixels counts.
    Takes 4 to 8 bytes a pixel, a progressive JPEG 10 and a WebP file 15, which are the decoders' own.

    Args:
        data: a PNG, JPEG, WebP, GIF, BMP, PPM or TIFF file.
        max_pixels: most pixels; checked from the header before anything is decoded.

    Raises:
        SampleError: cause `broken_image` or `image_too_large`.
    """
    with _quiet(data):
        image = _open_header(data)
        width, height = image.size
        if width * height > max_pixels:
            found = f"{width}x{height} = {width * height} pixels"
            raise _too_large(found, max_pixels, "shrink the image, or raise data.max_image_pixels")
        orientation = _orientation(image)
        try:
            image.load()
            if image.size != (width, height):
                raise _broken(f"{image.width}x{image.height} px, {width}x{height} px in its header")
            rgb = _to_rgb(image)
        except SampleError:
            raise
        except Exception as error:  # decoders raise whatever corrupt bytes lead them to
            raise _broken(f"{type(error).__name__}: {error}") from error
    transpose = _TRANSPOSE_OF_ORIENTATION.get(orientation)
    return rgb if transpose is None else rgb.transpose(transpose)


@contextmanager
def _quiet(data: bytes) -> Iterator[None]:
    """Nothing is printed: max_pixels judges the size, damaged metadata are not used, the rest is raised."""
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        if data.startswith(_TIFF_MAGIC):
            stack.enter_context(silent_stderr())  # libtiff does not ask
        yield


def _open_header(data: bytes) -> Image.Image:
    """An image whose pixels are not decoded yet."""
    try:
        image = Image.open(io.BytesIO(data), formats=_FORMATS)
    except Image.DecompressionBombError as error:
        max_pixels = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        raise _too_large(f"more ({error})", max_pixels, "shrink the image") from error
    except Exception as error:  # header parsers raise whatever corrupt bytes lead them to
        raise _broken(f"{type(error).__name__}: {error}") from error
    width, height = image.size
    if image.format == "WEBP" and width * height > _MAX_WEBP_PIXELS:
        found = f"{width}x{height} in a WebP file"
        raise _too_large(found, _MAX_WEBP_PIXELS, "shrink the image, or save it as JPEG or PNG")
    return image


def _orientation(image: Image.Image) -> int:
    """How the pixels must be turned, 1 to 8, without decoding them; 1, upright, also where no such number is.

    Pillow applies that of a TIFF itself, and its size is upright from the start if EXIF says it, not XMP.
    """
    if image.format == "TIFF":
        image.info.pop("xmp", None)
        return 1
    try:
        # the EXIF block, a PNG's text chunk or XMP; PNG's own method would decode for what follows the pixels
        orientation = Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1)
    except Exception:  # damaged metadata say nothing about the pixels: take the image as upright
        return 1
    return orientation if orientation in _TRANSPOSE_OF_ORIENTATION else 1


def _upright_size(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    width, height = size
    return (height, width) if orientation in _SWAPS_SIDES else size


def strips(size: tuple[int, int]) -> Iterator[tuple[int, int, int, int]]:
    """Boxes of whole rows that make up an image, of some STRIP_PIXELS each."""
    width, height = size
    rows = max(1, STRIP_PIXELS // width)
    return ((0, top, width, min(top + rows, height)) for top in range(0, height, rows))


def _to_rgb(image: Image.Image) -> Image.Image:
    """The loaded image in RGB mode."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode == "F":
        raise _broken("32-bit float pixels, whose range is unknown")
    rgb = Image.new("RGB", image.size)
    for box in strips(image.size):
        rgb.paste(_strip_to_rgb(image.crop(box)), box)
    return rgb


def _strip_to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16-bit grey; Pillow's own conversion would clip all above 255 to white
        grey = np.asarray(image).astype(np.int64).clip(0, 65535) // 257
        return Image.fromarray(grey.astype(np.uint8)).convert("RGB")
    if "A" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def _broken(found: str) -> SampleError:
    return SampleError(
        "broken_image",
        f"an image must be a readable {', '.join(_FORMATS)} file · found {found} · replace the image",
    )


def _too_large(found: str, max_pixels: int, remedy: str) -> SampleError:
    return SampleError(
        "image_too_large",
        f"an image must have at most {max_pixels} pixels · found {found} · {remedy}",
    )
