"""Sounds that are not speech: tones, sweeps, beeps, noise and silence, and what can be asked about them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray

from phi4train.demo.samples import DemoSample, is_held_out
from phi4train.demo.speech.clips import audio_sample, encode_flac, finished_clip
from phi4train.demo.speech.synthesis import SAMPLE_RATE_HZ, Samples

HELD_OUT_FRACTION = 0.15
"""Share of all pitches that only held-out sounds may have."""

LOW_HZ, HIGH_HZ = (180, 400), (1500, 3000)
MAX_BEEPS = 5

SOUNDS: Mapping[str, str] = {
    "low": "a low tone",
    "high": "a high tone",
    "rise": "a rising tone",
    "fall": "a falling tone",
    "beeps": "beeps",
    "noise": "noise",
    "silence": "silence",
}
"""What is heard of each kind of sound."""

SYMBOLS: Mapping[str, str] = {
    "low": "_", "high": "^", "rise": "/", "fall": "\\", "beeps": "!", "noise": "%", "silence": "",
}  # fmt: skip
"""How a text twin writes each kind of sound; beeps have a symbol each, silence has none."""

QUESTIONS: Mapping[str, tuple[str, ...]] = {
    "what": ("What do you hear?", "What sound is this?"),
    "count": ("How many beeps?", "Count the beeps."),
    "sweep": ("Does the pitch rise or fall?", "Does the tone rise or fall?"),
    "height": ("Is the tone high or low?", "Is the pitch high or low?"),
}
"""Paraphrases of each question about a sound."""

_FADE_SECONDS = 0.01


@dataclass(frozen=True)
class Sound:
    """A sound of one of the kinds of `SOUNDS`.

    Args:
        hertz: pitch of a tone or beep, or the lower end of a sweep.
        beeps: their number, 1 for other kinds.
    """

    kind: str
    hertz: int
    beeps: int = 1


@dataclass(frozen=True)
class SoundQuestion:
    """A question about a sound, and its answer."""

    sound: Sound
    prompt: str
    answer: str


def au_samples(count: int, rng: Random, held_out: bool) -> Iterator[DemoSample]:
    """One question about one sound; task `au`."""
    for _ in range(count):
        asked = draw_sound_question(rng, held_out)
        if asked.sound.kind == "silence":
            clip = encode_flac(_hiss(rng))
        else:
            clip = finished_clip(_render(asked.sound, rng), rng, held_out)
        yield audio_sample(clip, asked.prompt, asked.answer, "au", is_measured=held_out)


def draw_sound_question(rng: Random, held_out: bool) -> SoundQuestion:
    """A random question about a sound whose pitch belongs to the split."""
    asked = rng.choice(tuple(QUESTIONS))
    kinds = {"count": ("beeps",), "sweep": ("rise", "fall"), "height": ("low", "high")}
    kind = rng.choice(kinds.get(asked, tuple(SOUNDS)))
    hertz = rng.randint(*(HIGH_HZ if kind in ("high", "beeps") else LOW_HZ))
    while is_held_out(f"{hertz} Hz", HELD_OUT_FRACTION) != held_out:
        hertz = rng.randint(*(HIGH_HZ if kind in ("high", "beeps") else LOW_HZ))
    sound = Sound(kind, hertz, rng.randint(1, MAX_BEEPS) if asked == "count" else _usual_beeps(kind, rng))
    answer = {"what": SOUNDS[kind], "count": str(sound.beeps)}.get(asked, kind)
    return SoundQuestion(sound, rng.choice(QUESTIONS[asked]), answer)


def _usual_beeps(kind: str, rng: Random) -> int:
    return rng.randint(2, MAX_BEEPS) if kind == "beeps" else 1  # one beep alone is a short tone


def _render(sound: Sound, rng: Random) -> Samples:
    """The sound itself, at full scale."""
    random = np.random.default_rng(rng.getrandbits(64))
    count = _length(rng)
    if sound.kind == "noise":
        return random.uniform(-1, 1, count).astype(np.float32)
    if sound.kind == "beeps":
        return _beeps(sound, random)
    ratio = random.uniform(3, 6) if sound.kind in ("rise", "fall") else 1.0
    sweep = ratio ** np.linspace(0, 1, count)
    return _tone(sound.hertz * (sweep[::-1] if sound.kind == "fall" else sweep))


def _hiss(rng: Random) -> Samples:
    """What a microphone records of silence."""
    random = np.random.default_rng(rng.getrandbits(64))
    hiss: Samples = (random.standard_normal(_length(rng)) * random.uniform(1e-4, 1e-3)).astype(np.float32)
    return hiss


def _length(rng: Random) -> int:
    return int(rng.uniform(0.5, 1.2) * SAMPLE_RATE_HZ)


def _beeps(sound: Sound, random: np.random.Generator) -> Samples:
    beep = _tone(np.full(int(random.uniform(0.08, 0.14) * SAMPLE_RATE_HZ), float(sound.hertz)))
    pause = np.zeros(int(random.uniform(0.15, 0.25) * SAMPLE_RATE_HZ), dtype=np.float32)
    return np.concatenate([beep, *[pause, beep] * (sound.beeps - 1)])


def _tone(hertz: NDArray[np.float64]) -> Samples:
    """A sine of a pitch that may change, with soft ends."""
    wave = np.sin(2 * np.pi * np.cumsum(hertz) / SAMPLE_RATE_HZ)
    edge = np.minimum(np.arange(len(wave)), np.arange(len(wave))[::-1])
    fade: Samples = (wave * np.minimum(edge / (_FADE_SECONDS * SAMPLE_RATE_HZ), 1)).astype(np.float32)
    return fade
