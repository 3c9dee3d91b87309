"""Why a file of audio cannot be used as it is."""

from phi4train.errors import SampleError


def broken(found: str) -> SampleError:
    """Cause `broken_audio`: it cannot be read."""
    return SampleError(
        "broken_audio",
        f"audio must be a readable WAV, FLAC, Ogg or MP3 file · found {found} · replace the clip",
    )


def truncated(found: str) -> SampleError:
    """Cause `truncated_audio`: its end is missing."""
    return SampleError(
        "truncated_audio", f"audio must be as long as its header says · found {found} · replace the clip"
    )


def chained(found: str) -> SampleError:
    """Cause `chained_audio`: one file behind another, of which a decoder would play the first."""
    return SampleError(
        "chained_audio",
        f"audio must be one stream · found {found} · decode and save it anew, or make two clips of it",
    )
