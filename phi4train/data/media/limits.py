"""What a sample may measure."""

from dataclasses import dataclass

from phi4train.data.media.images import ImageGeometry


@dataclass(frozen=True)
class Limits:
    """What a sample may measure.

    Args:
        context_tokens: longest branch of a sample; longer `text` is split, anything else left out.
        max_image_pixels: largest image, width x height.
        geometry: how images become crops, and so tokens.
        max_audio_seconds: longest audio clip.
        video_fps: frames per second that are kept of a video; None: all.
        max_frames: most frames of a video; of more, evenly spread ones are kept.
        num_branches: sequences of a sample: 1 for text and messages, which next-token objectives take, 2 for
            a preference. Samples with another number are left out.
    """

    context_tokens: int
    max_image_pixels: int
    geometry: ImageGeometry
    max_audio_seconds: float
    video_fps: float | None
    max_frames: int
    num_branches: int

    @property
    def sample_tokens(self) -> int:
        """Most tokens of a sample over all its branches, or of a piece of a long text."""
        return self.num_branches * self.context_tokens
