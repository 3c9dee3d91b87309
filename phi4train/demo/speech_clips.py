"""From words to a sample with a clip: who speaks, FLAC, and the record around it."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from random import Random
from typing import Any

import numpy as np

from phi4train.data.audio_features import FRAMES_PER_TOKEN, HOP_SAMPLES, num_audio_tokens, num_frames
from phi4train.demo.records import question_record
from phi4train.demo.samples import IMAGE_MEMBER, DemoSample
from phi4train.demo.speech_augmentation import augment, scaled
from phi4train.demo.speech_synthesis import SAMPLE_RATE_HZ, Samples, Utterance, Voice, synthesize

AUDIO_MEMBER = "0.flac"
"""Member name of a sample's only clip."""

TRAIN_VARIANTS = (
    "m1", "m2", "m4", "m5", "m6", "m7", "m8", "f1", "f2", "f4", "Alex", "Alicia", "Andrea", "Andy", "Annie",
    "Denis", "Diogo", "Gene", "Gene2", "Henrique", "Hugo", "Jacky", "Lee", "Marco", "Mario", "Mike", "Nguyen",
    "Reed", "RicishayMax", "Storm", "Tweaky", "adam", "anika", "antonio", "aunty", "belinda", "benjamin",
    "boris", "caleb", "david", "ed", "edward", "edward2", "grandma", "grandpa", "gustave", "ian", "iven",
    "john", "kaukovalta", "linda", "marcelo", "max", "michel", "miguel", "norbert", "pablo", "paul", "pedro",
    "quincy", "rob", "robert", "sandro", "shelby", "steph", "travis", "victor", "zac",
)  # fmt: skip
HELD_OUT_VARIANTS = ("m3", "f3", "f5", "Michael")
"""Voice variants that only held-out clips may use."""

WORDS_PER_MINUTE = (130, 145, 160, 175, 190)
PITCHES = (35, 45, 50, 55, 65)
PITCH_RANGES = (30, 50, 70)
HELD_OUT_PEAK = 0.6

FILLER = "~"
"""What an audio token reads at which no word is heard; an empty cell of a panel reads the same."""

_TOKEN_SAMPLES = FRAMES_PER_TOKEN * HOP_SAMPLES
_LONGEST_WORD_SAMPLES = SAMPLE_RATE_HZ * 2 // 5
"""A pause after a word is not part of it."""


def draw_voice(rng: Random, held_out: bool) -> Voice:
    """A random voice of the split."""
    return Voice(
        rng.choice(HELD_OUT_VARIANTS if held_out else TRAIN_VARIANTS),
        rng.choice(WORDS_PER_MINUTE),
        rng.choice(PITCHES),
        rng.choice(PITCH_RANGES),
    )


@dataclass(frozen=True)
class Clip:
    """A sound, and what each of its audio tokens reads where that is known."""

    flac: bytes
    reading: str | None = None


def spoken_clip(text: str, language: str, rng: Random, held_out: bool, heard: Sequence[str] = ()) -> Clip:
    """The text in a random voice of the split; training clips are augmented.

    Args:
        heard: what each spoken word reads as, in signs that are one token each; "" for nothing.
    """
    spoken = synthesize(text, language, draw_voice(rng, held_out))
    finished = _finished(spoken.samples, rng, held_out)
    return Clip(encode_flac(finished), reading_of(spoken, heard, len(finished)))


def reading_of(spoken: Utterance, heard: Sequence[str], num_samples: int) -> str | None:
    """A sign for each audio token: a word's at its middle, else filler; None where words are not known."""
    if len(heard) != len(spoken.word_starts) or any(sign.isalpha() for sign in heard):
        return None
    signs = [FILLER] * num_audio_tokens(num_frames(num_samples))  # echoes may be heard after the last word
    free = 0
    for sign, (start, end) in zip(heard, pairwise((*spoken.word_starts, len(spoken.samples))), strict=True):
        middle = start + min(end - start, _LONGEST_WORD_SAMPLES) // 2
        for character in sign:
            free = max(free, middle // _TOKEN_SAMPLES)
            if free >= len(signs):
                return None
            signs[free] = character
            free += 1
    return "".join(signs)


def finished_clip(samples: Samples, rng: Random, held_out: bool) -> Clip:
    """A clean sound, augmented for training, else at one loudness."""
    return Clip(encode_flac(_finished(samples, rng, held_out)))


def _finished(samples: Samples, rng: Random, held_out: bool) -> Samples:
    if held_out:
        return scaled(samples, HELD_OUT_PEAK)
    return augment(samples, np.random.default_rng(rng.getrandbits(64)))


def encode_flac(samples: Samples) -> bytes:
    """16 kHz mono FLAC of 16 bits a sample."""
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, samples, SAMPLE_RATE_HZ, format="FLAC", subtype="PCM_16", compression_level=0.0)
    return buffer.getvalue()


def audio_sample(
    clip: Clip,
    prompt: str,
    answer: str,
    task: str,
    language: str | None = None,
    image: bytes | None = None,
    is_measured: bool = False,
    target_language: str | None = None,
) -> DemoSample:
    """One question and its answer: the image if there is one, the clip, and the prompt unless it is empty."""
    content: list[dict[str, Any]] = [{"type": "audio", "audio": AUDIO_MEMBER}]
    if clip.reading is not None and not is_measured:
        content[0]["reading"] = clip.reading
    media = {AUDIO_MEMBER: clip.flac}
    if image is not None:
        content.insert(0, {"type": "image", "image": IMAGE_MEMBER})
        media[IMAGE_MEMBER] = image
    if prompt:
        content.append({"type": "text", "text": prompt})
    record = question_record(content, answer, task, language, is_measured, target_language)
    return DemoSample(record, media)
