"""What training clips go through and held-out clips do not: silence around, a room, noise, other loudness."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from phi4train.demo.speech.synthesis import SAMPLE_RATE_HZ, Samples

REVERB_PROBABILITY, NOISE_PROBABILITY = 0.2, 0.4
REVERB_SECONDS = (0.08, 0.35)
"""Time in which a room's echo falls by 60 dB."""
ECHO_SHARE = (0.1, 0.5)
"""Energy of the echo, compared to the direct sound."""
SNR_DB = (12.0, 40.0)
PEAK = (0.2, 0.9)
MAX_SILENCE_SECONDS = 0.15
"""Most silence before and after."""

NOISE_EXPONENTS = {"white": 0.0, "pink": 1.0, "brown": 2.0}
"""Power falls with the frequency to this exponent."""

_NOISE_SECONDS = 30
_ROOMS = 16


def augment(samples: Samples, random: np.random.Generator) -> Samples:
    """The clip as another microphone in another room might have heard it; it grows by the silence around."""
    before, after = random.uniform(0, MAX_SILENCE_SECONDS, 2) * SAMPLE_RATE_HZ
    heard: Samples = np.pad(samples, (int(before), int(after)))
    if random.random() < REVERB_PROBABILITY:
        heard = add_reverb(heard, random)
    if random.random() < NOISE_PROBABILITY:
        heard = add_noise(heard, random)
    return scaled(heard, random.uniform(*PEAK))


def add_noise(samples: Samples, random: np.random.Generator) -> Samples:
    """White, pink or brown noise at a random signal-to-noise ratio within `SNR_DB`."""
    noise = _noise(str(random.choice(tuple(NOISE_EXPONENTS))))
    start = random.integers(len(noise))
    cut = np.take(noise, np.arange(start, start + len(samples)), mode="wrap")
    power = float(np.mean(samples**2))
    snr = 10 ** (random.uniform(*SNR_DB) / 10)
    heard: Samples = samples + cut * np.float32(np.sqrt(power / snr))
    return heard


def add_reverb(samples: Samples, random: np.random.Generator) -> Samples:
    """The clip with the echo of a random room, as long as before."""
    room = _rooms()[random.integers(_ROOMS)]
    size = 2 ** int(np.ceil(np.log2(len(samples) + len(room))))
    spectrum = np.fft.rfft(samples, size) * np.fft.rfft(room, size)
    heard: Samples = np.fft.irfft(spectrum, size)[: len(samples)].astype(np.float32)
    return heard


def scaled(samples: Samples, peak: float) -> Samples:
    """The clip with its largest sample at `peak`."""
    heard: Samples = samples * np.float32(peak / np.abs(samples).max())
    return heard


@cache
def _noise(colour: str) -> Samples:
    """Half a minute of noise with power 1, from which clips take a stretch."""
    count = _NOISE_SECONDS * SAMPLE_RATE_HZ
    random = np.random.default_rng(list(colour.encode()))
    spectrum = np.fft.rfft(random.standard_normal(count))
    frequency = np.maximum(np.fft.rfftfreq(count, 1 / SAMPLE_RATE_HZ), 20.0)
    noise = np.fft.irfft(spectrum * frequency ** (-NOISE_EXPONENTS[colour] / 2), count)
    scaled_noise: Samples = (noise / noise.std()).astype(np.float32)
    return scaled_noise


@cache
def _rooms() -> tuple[NDArray[np.float32], ...]:
    """Impulse responses: the direct sound, then noise that decays exponentially."""
    random = np.random.default_rng(0)
    rooms: list[NDArray[np.float32]] = []
    for _ in range(_ROOMS):
        seconds = random.uniform(*REVERB_SECONDS)
        time = np.arange(1, int(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
        echo = random.standard_normal(len(time)) * 10 ** (-3 * time / seconds)
        echo *= np.sqrt(random.uniform(*ECHO_SHARE) / np.sum(echo**2))
        rooms.append(np.concatenate([[1.0], echo]).astype(np.float32))
    return tuple(rooms)
