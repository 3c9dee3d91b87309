"""Each kind of file reaches the module that counts it, tags before it or not."""

import io

import pytest
import soundfile

from phi4train.data.media.audio_files.counting import counted
from phi4train.errors import SampleError
from tests.unit.data.small_shards import clip

ID3 = b"ID3\4\0\0\0\0\0\5" + bytes(5)


@pytest.mark.parametrize("format", ["WAV", "FLAC", "OGG", "MP3"])
@pytest.mark.parametrize("before", [b"", ID3, bytes(12)])
def test_files_of_every_kind_are_counted(format: str, before: bytes) -> None:
    content = counted(before + clip(9_000, format=format))
    with soundfile.SoundFile(io.BytesIO(content)) as file:
        assert (file.frames, file.format) == (9_000, format)
        assert len(file.read()) == 9_000


@pytest.mark.parametrize(
    "content", [b"", bytes(100), ID3, b"RF64" + bytes(40), b"OggT", b"\xff", b"\xff\xdf"]
)
def test_other_files_are_not(content: bytes) -> None:
    with pytest.raises(SampleError, match="found other first bytes"):
        counted(content)
