"""Files of audio whose header says exactly what they hold."""

from phi4train.data.media.audio_files.flac import counted_flac
from phi4train.data.media.audio_files.mp3 import counted_mp3
from phi4train.data.media.audio_files.ogg import counted_ogg
from phi4train.data.media.audio_files.refusals import broken
from phi4train.data.media.audio_files.tags import end_of_tags
from phi4train.data.media.audio_files.wav import counted_wav

_COUNTED = {b"RIFF": counted_wav, b"fLaC": counted_flac, b"OggS": counted_ogg}


def counted(content: bytes) -> bytes:
    """The same audio in a file that a decoder reads whole; frames, pages or bytes are counted, not decoded.

    An end that is missing is refused; a header that says nothing, or too little, is mended.

    Raises:
        SampleError: cause `broken_audio`, `truncated_audio` or `chained_audio`.
    """
    start = end_of_tags(content, 0)
    file = content[start:] if start else content
    count = _COUNTED.get(file[:4])
    if count is not None:
        return count(file)
    if file[:1] == b"\xff" and file[1:2] >= b"\xe0":
        return counted_mp3(file)
    raise broken("other first bytes")  # libsndfile would try its parsers for thirty more formats
