"""Speech in eight languages from eSpeak NG: the same samples for the same words, whatever was said before.

eSpeak NG keeps its oscillators between utterances, and no call resets them. So the library is loaded anew for
each utterance: half a millisecond of two. A fixed seed replaces the time of day, with which it then seeds the
noise of breathy voices.
"""

import _ctypes
import ctypes
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE_HZ = 16_000
"""Rate of all clips of the demo."""

ESPEAK_VOICES: Mapping[str, str] = {
    "zh": "sit/cmn",
    "en": "gmw/en-US",
    "fr": "roa/fr",
    "de": "gmw/de",
    "it": "roa/it",
    "ja": "jpx/ja",
    "pt": "roa/pt-BR",
    "es": "roa/es",
}
"""File of eSpeak NG's voice of each language: a bare name would make it read all its files to find one."""

Samples = NDArray[np.float32]

# speak_lib.h of eSpeak NG 1.52
_SYNCHRONOUS, _DONT_EXIT = 2, 0x8000
_RATE, _PITCH, _RANGE = 1, 3, 4
_UTF8, _IPA = 1, 2
_NOISE_SEED = 1

_SILENCE = 0.01
"""Share of the peak below which the ends of an utterance are cut off."""
_MARGIN_SECONDS = 0.02

_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


@dataclass(frozen=True)
class Voice:
    """Who speaks, and how.

    Args:
        variant: one of eSpeak NG's voice variants, `m1` or `Annie`.
        words_per_minute: 80 to 450.
        pitch: 0 to 99, 50 is the variant's own.
        pitch_range: 0 (monotone) to 99.
    """

    variant: str
    words_per_minute: int = 160
    pitch: int = 50
    pitch_range: int = 50


def synthesize(text: str, language: str, voice: Voice) -> Samples:
    """The text as `voice` says it: 16 kHz, peak 1, without silence at its ends.

    Raises:
        ValueError: the language or the variant is unknown, or nothing is heard.
    """
    blocks: list[bytes] = []

    def collect(wave: "ctypes._Pointer[ctypes.c_short]", count: int, _: int | None) -> int:
        if wave and count > 0:
            blocks.append(ctypes.string_at(wave, count * ctypes.sizeof(ctypes.c_short)))
        return 0

    with _espeak(language, voice, collect) as (library, rate):
        encoded = text.encode()
        library.espeak_Synth(encoded, len(encoded) + 1, 0, 1, 0, _UTF8, None, None)
    wave = np.frombuffer(b"".join(blocks), dtype=np.int16).astype(np.float32)
    if not wave.any():
        raise ValueError(f"a text must be heard · found silence for {text!r} in {language} · change the text")
    samples = resample(wave / np.abs(wave).max(), rate)
    begin, end = _loud_span(samples)
    return samples[begin:end]


def phonemes(text: str, language: str) -> str:
    """What eSpeak NG says, in IPA; a word that it reads in another language starts with `(en)` or such."""
    with _espeak(language, Voice("m1"), lambda *_: 0) as (library, _):
        library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        buffer = ctypes.create_string_buffer(text.encode())
        rest = ctypes.c_void_p(ctypes.addressof(buffer))
        clauses: list[bytes] = []
        while rest.value:
            clauses.append(library.espeak_TextToPhonemes(ctypes.byref(rest), _UTF8, _IPA) or b"")
    return b" ".join(clauses).decode()


def resample(samples: Samples, rate: int) -> Samples:
    """The same sound at 16 kHz, its spectrum cut at 8 kHz; at most 20 ms of silence longer."""
    common = math.gcd(rate, SAMPLE_RATE_HZ)
    periods = -(-len(samples) * common // rate)
    length = periods * (SAMPLE_RATE_HZ // common)
    padded = np.pad(samples, (0, periods * (rate // common) - len(samples)))
    spectrum = np.fft.rfft(padded)[: length // 2 + 1]
    return (np.fft.irfft(spectrum, length) * (length / len(padded))).astype(np.float32)


def _loud_span(samples: Samples) -> tuple[int, int]:
    """First sample, and one past the last, of what is heard."""
    margin = int(_MARGIN_SECONDS * SAMPLE_RATE_HZ)
    (loud,) = np.nonzero(np.abs(samples) > _SILENCE * np.abs(samples).max())
    return max(0, int(loud[0]) - margin), min(len(samples), int(loud[-1]) + margin)


@contextmanager
def _espeak(language: str, voice: Voice, collect: Callable[..., int]) -> Iterator[tuple[ctypes.CDLL, int]]:
    """A fresh copy of the library that speaks with `voice`, and its sample rate."""
    import espeakng_loader

    if language not in ESPEAK_VOICES:
        raise ValueError(
            f"a language must be one of {', '.join(ESPEAK_VOICES)} · found {language} · choose one of these"
        )
    data = espeakng_loader.get_data_path()
    if not Path(data, "voices", "!v", voice.variant).is_file():
        raise ValueError(
            f"a voice variant must be a file in {data}/voices/!v · found {voice.variant} · "
            "choose one of these"
        )
    callback = _Callback(collect)
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    try:
        rate = library.espeak_Initialize(_SYNCHRONOUS, 0, data.encode(), _DONT_EXIT)
        library.espeak_ng_SetRandSeed(_NOISE_SEED)
        library.espeak_SetSynthCallback(callback)
        library.espeak_SetVoiceByName(f"{ESPEAK_VOICES[language]}+{voice.variant}".encode())
        settings = ((_RATE, voice.words_per_minute), (_PITCH, voice.pitch), (_RANGE, voice.pitch_range))
        for parameter, value in settings:
            library.espeak_SetParameter(parameter, value, 0)
        yield library, rate
    finally:
        library.espeak_Terminate()
        _ctypes.dlclose(library._handle)
