"""What is asked about a sound can be measured in its samples."""

import json
from random import Random

import numpy as np
import pytest

from phi4train.data.media.audio import decode_audio
from phi4train.data.samples.records import parse_sample
from phi4train.demo.samples import DemoSample, is_held_out
from phi4train.demo.speech.clips import AUDIO_MEMBER
from phi4train.demo.speech.sounds import (
    HELD_OUT_FRACTION,
    HIGH_HZ,
    LOW_HZ,
    QUESTIONS,
    SOUNDS,
    SYMBOLS,
    au_samples,
    draw_sound_question,
)
from phi4train.demo.speech.synthesis import SAMPLE_RATE_HZ, Samples

WINDOW = 512


def loudest_hertz(samples: Samples) -> float:
    return float(np.abs(np.fft.rfft(samples)).argmax() * SAMPLE_RATE_HZ / len(samples))


def num_bursts(samples: Samples) -> int:
    frames = samples[: len(samples) // WINDOW * WINDOW].reshape(-1, WINDOW)
    loud = np.abs(frames).max(axis=1) > 0.05
    return int((np.diff(loud.astype(int), prepend=0) == 1).sum())


def heard(sample: DemoSample) -> Samples:
    samples: Samples = decode_audio(sample.media[AUDIO_MEMBER]).numpy()
    return samples


def asked(sample: DemoSample) -> tuple[str, str]:
    user, assistant = sample.record["messages"]
    return user["content"][1]["text"], assistant["content"]


def test_answers_are_what_is_heard() -> None:
    checked = set()
    for sample in au_samples(60, Random(0), held_out=True):
        samples, (question, answer) = heard(sample), asked(sample)
        third = len(samples) // 3
        if question in QUESTIONS["count"]:
            assert answer == str(num_bursts(samples))
        elif question in QUESTIONS["sweep"]:
            rises = loudest_hertz(samples[:third]) < loudest_hertz(samples[-third:])
            assert answer == ("rise" if rises else "fall")
        elif question in QUESTIONS["height"]:
            low, high = LOW_HZ[1], HIGH_HZ[0]
            assert answer == ("low" if loudest_hertz(samples) < (low + high) / 2 else "high")
        elif answer == "silence":
            assert np.abs(samples).max() < 0.01
        else:
            assert np.abs(samples).max() > 0.5
        checked.add(answer)
    assert {"1", "5", "rise", "fall", "low", "high", "silence", "noise"} <= checked


def test_every_kind_of_sound_is_asked_about_and_has_a_symbol() -> None:
    drawn = [draw_sound_question(Random(seed), held_out=False) for seed in range(300)]
    assert {question.sound.kind for question in drawn} == set(SOUNDS) == set(SYMBOLS)
    assert len(set(SYMBOLS.values())) == len(SYMBOLS)


@pytest.mark.parametrize("held_out", [False, True])
def test_pitches_belong_to_the_split(held_out: bool) -> None:
    for seed in range(50):
        hertz = draw_sound_question(Random(seed), held_out).sound.hertz
        assert is_held_out(f"{hertz} Hz", HELD_OUT_FRACTION) == held_out


def test_samples_are_the_same_for_a_seed_and_parse() -> None:
    samples = list(au_samples(10, Random(0), held_out=False))
    assert samples == list(au_samples(10, Random(0), held_out=False))
    for sample in samples:
        assert parse_sample("key", json.dumps(sample.record).encode()).mode == "speech"
        assert 0.05 < len(heard(sample)) / SAMPLE_RATE_HZ < 3
