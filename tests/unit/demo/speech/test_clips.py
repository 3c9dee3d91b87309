"""A clip is FLAC in a voice of its split, and its record says what stands around it."""

import numpy as np

from phi4train.data.media.audio import decode_audio
from phi4train.demo.speech.clips import (
    encode_flac,
)
from phi4train.demo.speech.synthesis import Voice, synthesize


def test_flac_keeps_sixteen_bits() -> None:
    samples = synthesize("one", "en", Voice("m1")) / 2
    assert np.abs(decode_audio(encode_flac(samples)).numpy() - samples).max() < 2**-14
