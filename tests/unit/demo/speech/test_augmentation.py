"""Augmentation changes how a clip is heard, within its bounds."""

import numpy as np
import pytest

from phi4train.demo.speech.augmentation import (
    ECHO_SHARE,
    NOISE_EXPONENTS,
    SNR_DB,
    _noise,
    add_noise,
    add_reverb,
    augment,
    scaled,
)
from phi4train.demo.speech.synthesis import SAMPLE_RATE_HZ, Voice, synthesize


def test_augmentation_changes_a_clip_and_keeps_it_speech() -> None:
    clean = synthesize("seven one", "en", Voice("m1"))
    heard = [augment(clean, np.random.default_rng(seed)) for seed in range(8)]
    assert len({clip.tobytes() for clip in heard}) == 8
    for clip in heard:
        assert len(clean) <= len(clip) < len(clean) + 0.3 * SAMPLE_RATE_HZ
        assert np.isfinite(clip).all() and np.abs(clip).max() < 1


def test_noise_is_within_its_bounds() -> None:
    clean = np.sin(np.arange(SAMPLE_RATE_HZ) / 8).astype(np.float32)
    for seed in range(10):
        noise = add_noise(clean, np.random.default_rng(seed)) - clean
        ratio = 10 * np.log10(np.mean(clean**2) / np.mean(noise**2))
        assert SNR_DB[0] - 3 < ratio < SNR_DB[1] + 3  # a stretch of noise is not as loud as all of it


def test_a_room_rings_after_the_sound_and_not_before() -> None:
    click = np.zeros(4000, dtype=np.float32)
    click[1000] = 1
    heard = add_reverb(click, np.random.default_rng(0))
    assert np.abs(heard[:1000]).max() < 1e-5
    assert np.abs(heard[1100:1500]).max() > 1e-3


def test_scaling_sets_the_peak_and_nothing_else() -> None:
    clip = np.array([0.1, -0.4, 0.2], dtype=np.float32)
    loud = scaled(clip, 0.8)
    assert np.abs(loud).max() == pytest.approx(0.8)
    np.testing.assert_allclose(loud / clip, 2.0, rtol=1e-6)


def test_the_changes_follow_from_the_generator_alone() -> None:
    clean = np.sin(np.arange(4_000) / 8).astype(np.float32)
    before = clean.copy()
    one, same, other = (augment(clean, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert np.array_equal(one, same) and not np.array_equal(one, other)
    assert np.array_equal(clean, before), "the clip itself is left as it was"
    assert one.dtype == np.float32


def test_colours_fall_with_the_frequency_as_they_say() -> None:
    for colour, exponent in NOISE_EXPONENTS.items():
        power = np.abs(np.fft.rfft(_noise(colour))) ** 2
        hertz = np.fft.rfftfreq(len(_noise(colour)), 1 / SAMPLE_RATE_HZ)
        low, high = (power[(hertz > f) & (hertz < 1.1 * f)].mean() for f in (200, 2000))
        assert np.log10(low / high) == pytest.approx(exponent, abs=0.1), colour
        assert float(np.mean(_noise(colour) ** 2)) == pytest.approx(1, abs=0.01)


def test_a_room_keeps_the_length_and_the_direct_sound() -> None:
    click = np.zeros(3_000, dtype=np.float32)
    click[0] = 1
    for seed in range(4):
        heard = add_reverb(click, np.random.default_rng(seed))
        assert len(heard) == len(click) and heard[0] == pytest.approx(1, abs=1e-3)
        assert ECHO_SHARE[0] / 2 < float(np.sum(heard[1:] ** 2)) < ECHO_SHARE[1] * 1.1
