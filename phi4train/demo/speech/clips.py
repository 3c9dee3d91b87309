"""From words to a sample with a clip: who speaks, FLAC, and the record around it."""

import io
from random import Random
from typing import Any

import numpy as np

from phi4train.demo.samples import IMAGE_MEMBER, DemoSample, Turn, record_of
from phi4train.demo.speech.augmentation import augment, scaled
from phi4train.demo.speech.synthesis import SAMPLE_RATE_HZ, Samples, Voice, synthesize

AUDIO_MEMBER = "0.flac"
"""Member name of a sample's only clip."""

TRAIN_VARIANTS = (
    "m1", "m2", "m4", "m5", "m6", "m7", "m8", "f1", "f2", "f4", "Alex", "Alicia", "Andrea", "Andy", "Annie",
    "Denis", "Diogo", "Gene", "Gene2", "Henrique", "Hugo", "Jacky", "Lee", "Marco", "Mario", "Mike", "Nguyen",
    "RicishayMax", "Storm", "Tweaky", "adam", "anika", "antonio", "aunty", "belinda", "benjamin",
    "boris", "david", "ed", "edward", "edward2", "grandma", "grandpa", "gustave", "ian", "iven",
    "john", "kaukovalta", "linda", "marcelo", "max", "michel", "miguel", "norbert", "pablo", "paul", "pedro",
    "quincy", "rob", "robert", "sandro", "shelby", "steph", "travis", "victor", "zac",
)  # fmt: skip
HELD_OUT_VARIANTS = ("m3", "f3", "f5", "Michael")
"""Voice variants that only held-out clips may use."""

WORDS_PER_MINUTE = (130, 145, 160, 175, 190)
PITCHES = (35, 45, 50, 55, 65)
PITCH_RANGES = (30, 50, 70)
HELD_OUT_PEAK = 0.6


def draw_voice(rng: Random, held_out: bool) -> Voice:
    """A random voice of the split."""
    return Voice(
        rng.choice(HELD_OUT_VARIANTS if held_out else TRAIN_VARIANTS),
        rng.choice(WORDS_PER_MINUTE),
        rng.choice(PITCHES),
        rng.choice(PITCH_RANGES),
    )


def spoken_clip(text: str, language: str, rng: Random, held_out: bool) -> bytes:
    """FLAC of the text in a random voice of the split; training clips are augmented."""
    return finished_clip(synthesize(text, language, draw_voice(rng, held_out)), rng, held_out)


def finished_clip(samples: Samples, rng: Random, held_out: bool) -> bytes:
    """FLAC of a clean sound, augmented for training, else at one loudness."""
    if held_out:
        return encode_flac(scaled(samples, HELD_OUT_PEAK))
    return encode_flac(augment(samples, np.random.default_rng(rng.getrandbits(64))))


def encode_flac(samples: Samples) -> bytes:
    """16 kHz mono FLAC of 16 bits a sample."""
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, samples, SAMPLE_RATE_HZ, format="FLAC", subtype="PCM_16", compression_level=0.0)
    return buffer.getvalue()


def audio_sample(
    clip: bytes,
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
    media = {AUDIO_MEMBER: clip}
    if image is not None:
        content.insert(0, {"type": "image", "image": IMAGE_MEMBER})
        media[IMAGE_MEMBER] = image
    if prompt:
        content.append({"type": "text", "text": prompt})
    turn = Turn(task, prompt, answer)
    record = record_of(content, [turn], task, language, is_measured, target_language)
    return DemoSample(record, media)
